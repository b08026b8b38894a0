package expression

import (
	"fmt"
	"strings"
)

// Quote quotes a string from outside for a message, and cuts it if it is long.
func Quote(text string) string { return fmt.Sprintf("%q", Clip(text)) }

// Clip cuts a string for a message if it is long.
func Clip(text string) string { return cut(text, 80) }

// Shorten makes one line of at most some 300 bytes of the message of a library.
func Shorten(message string) string {
	message, _, _ = strings.Cut(message, "\n")
	return cut(message, 300)
}

func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
