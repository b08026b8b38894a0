package engine_test

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// processTime is the processor time of another process; 0 if nothing is known of it.
func processTime(pid int) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	var user, system int64
	if len(fields) < 13 {
		return 0
	}
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		return 0
	}
	const tick = 10 * time.Millisecond
	return time.Duration(user+system) * tick
}
