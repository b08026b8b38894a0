package engine

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// This file bounds the texts of handlers, hooks and callbacks: they are kept with the
// lead, and written again at each of its attempts.

// maxOutcome is the most bytes that an outcome may have.
const maxOutcome = 128

// checkOutcome reports why an outcome cannot be kept.
func checkOutcome(outcome string) error { return checkText(outcome, maxOutcome) }

// checkCallID reports why a call's id cannot be kept. It is not cut, because a part of
// an id names another call, or none.
func checkCallID(id string) error { return checkText(id, MaxCallID) }

func checkText(text string, most int) error {
	switch {
	case len(text) > most:
		return fmt.Errorf("has %d bytes, more than %d", len(text), most)
	case !utf8.ValidString(text):
		return errors.New("is not UTF-8")
	}
	return nil
}

// clip returns the text as UTF-8 of at most most bytes, with "…" where it was cut.
func clip(text string, most int) string {
	const mark = "…"
	if len(text) > most {
		end := most - len(mark)
		for cut := end; cut > end-utf8.UTFMax; cut-- {
			if utf8.RuneStart(text[cut]) {
				end = cut
				break
			}
		}
		text = text[:end] + mark
	}
	if !utf8.ValidString(text) {
		// encoding/json would do the same, with U+FFFD; "?" has one byte, like the byte
		// that it replaces, so the text gets no longer.
		text = strings.Map(func(r rune) rune {
			if r == utf8.RuneError {
				return '?'
			}
			return r
		}, text)
	}
	return text
}

// errorText returns the text of an error that a handler or a hook returned, cut to
// MaxError. It is never empty.
func errorText(err error) (text string) {
	defer func() {
		if p := recover(); p != nil { // as of a nil pointer that was returned as an error
			text = clip(fmt.Sprintf("an error of type %T whose Error method panicked: %v", err, p), MaxError)
		}
	}()
	if text = clip(err.Error(), MaxError); text == "" {
		text = "an error without a text"
	}
	return text
}
