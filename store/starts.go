package store

import "errors"

// Start is a number of attempts that started at the same moment and count for the same
// limit. The engine reads them to know, after a restart, how much of a limit is used. The
// N of starts with the same Key, Phone and At add up.
type Start struct {
	Key   string // the limit's; the engine's own
	Phone int64  // of a limit for each contact; 0 for other limits
	At    Millis
	N     int32 // at least 1
}

// Check returns an error if the start is one that no store takes.
func (s *Start) Check() error {
	if s.Key == "" || s.Phone < 0 || s.N < 1 {
		return errors.New("a start needs a key, a count of at least 1, and a phone that is not negative")
	}
	return nil
}

// ForgetStarts deletes the starts of a limit before a moment, of all phones.
type ForgetStarts struct {
	Key    string
	Before Millis
}

// StartQuery selects the starts of a limit at or after Since.
type StartQuery struct {
	Key   string
	Phone int64 // 0 selects those without a phone
	Since Millis
}
