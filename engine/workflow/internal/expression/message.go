package expression

import (
	"fmt"
	"strings"
)

// Quote quotes untrusted input for a message, truncated to some 80 bytes.
func Quote(text string) string { return fmt.Sprintf("%q", Clip(text)) }

// Clip truncates untrusted input for a message to some 80 bytes.
func Clip(text string) string { return truncate(text, 80) }

// Shorten reduces a library's message to one line of some 300 bytes at most.
func Shorten(message string) string {
	message, _, _ = strings.Cut(message, "\n")
	return truncate(message, 300)
}

func truncate(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
