//go:build !linux

package workflow

import "time"

func threadTime() time.Duration { return time.Since(started) }
