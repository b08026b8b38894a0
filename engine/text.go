package engine

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// This file bounds the texts that handlers, hooks and callbacks give, all of which
// are kept with the lead and written anew at each of its attempts.

// maxOutcome is the most bytes that an outcome may have.
const maxOutcome = 128

// checkOutcome reports why an outcome could not be kept.
func checkOutcome(outcome string) error { return checkText(outcome, maxOutcome) }

// checkCallID reports why the name of a call could not be kept. It is not cut,
// because it would then name another call, or none.
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

// clip returns the text as UTF-8 of at most so many bytes, with a mark where it
// was cut.
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
		// As encoding/json would; a "?" has one byte, as what it stands for has.
		text = strings.Map(func(r rune) rune {
			if r == utf8.RuneError {
				return '?'
			}
			return r
		}, text)
	}
	return text
}

// errorText returns the text of somebody else's error, within bounds. It is never
// empty.
func errorText(err error) (text string) {
	defer func() {
		if p := recover(); p != nil { // as of a nil pointer that was returned as an error
			text = clip(fmt.Sprintf("an error of type %T whose text cannot be had: %v", err, p), MaxError)
		}
	}()
	if text = clip(err.Error(), MaxError); text == "" {
		text = "an error without a text"
	}
	return text
}
