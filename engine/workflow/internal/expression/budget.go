package expression

import (
	"errors"
	"fmt"
	"math/bits"
)

// The budget of one evaluation.
const (
	MaxSteps = 100_000
	MaxBytes = 4 << 20
)

// ErrBudget is what an error of an evaluation wraps that took more than its budget.
var ErrBudget = errors.New("budget exceeded")

// Meter is what is left of the budget of one evaluation. It is not for
// concurrent use. Its methods end the evaluation by a panic, which [Metered]
// turns into an error.
type Meter struct {
	steps, bytes int
}

// Metered calls f with a full budget. When f spends more, the error wraps [ErrBudget].
func Metered[T any](f func(*Meter) T) (result T, err error) {
	m := Meter{MaxSteps, MaxBytes}
	defer func() {
		if r := recover(); r != nil {
			err = toFailure(r)
		}
	}()
	return f(&m), nil
}

// Step pays for n steps of work that is about to be done. n is not negative.
func (m *Meter) Step(n int) {
	if m.steps -= n; m.steps < 0 {
		panic(&failure{message: fmt.Sprintf("took more than %d steps, the most that one evaluation may take", MaxSteps), cause: ErrBudget})
	}
}

// Alloc pays for n bytes of memory that are about to be allocated. n is not
// negative. What is released again is not paid back.
func (m *Meter) Alloc(n int) {
	if m.bytes -= n; m.bytes < 0 {
		panic(&failure{message: fmt.Sprintf("took more than %d bytes of memory, the most that one evaluation may take", MaxBytes), cause: ErrBudget})
	}
}

// The prices in steps of work on n bytes.

// scan is the price of looking for something in a string, or comparing it.
func (m *Meter) scan(n int) { m.Step(1 + n/16) }

// rewrite is the price of going through a string letter by letter.
func (m *Meter) rewrite(n int) { m.Step(1 + n/3) }

// sort is the price of sorting n elements.
func (m *Meter) sort(n int) { m.Step(n*bits.Len(uint(n))/3 + 1) }

// failure ends an evaluation. It is the error of a Program's Run too, with the
// place in the message.
type failure struct {
	message string
	cause   error
}

func (f *failure) Error() string { return f.message }
func (f *failure) Unwrap() error { return f.cause }

func fail(format string, args ...any) {
	panic(&failure{message: fmt.Sprintf(format, args...)})
}

// toFailure makes a failure of what was recovered from. A panic that is none is
// a defect of this package or of the library; it must not take the process, and
// every other lead, down.
func toFailure(recovered any) *failure {
	switch r := recovered.(type) {
	case *failure:
		return r
	case error:
		return &failure{message: r.Error(), cause: r}
	}
	return &failure{message: fmt.Sprint(recovered)}
}
