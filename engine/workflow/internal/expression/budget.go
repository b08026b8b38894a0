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

// ErrBudget is wrapped by the error of an evaluation that exceeded its budget.
var ErrBudget = errors.New("workflow: the evaluation exceeded its budget")

// Meter holds what is left of the budget of one evaluation. It must not be used
// concurrently. When the budget is used up, its methods panic; [Catch] turns
// that into an error.
type Meter struct {
	steps, bytes int
}

// NewMeter returns a meter with a full budget.
func NewMeter() Meter { return Meter{MaxSteps, MaxBytes} }

// Catch turns the panic that ends an evaluation into an error, which wraps
// [ErrBudget] if the budget was used up. It is to be deferred.
func Catch(err *error) {
	if r := recover(); r != nil {
		*err = toFailure(r)
	}
}

// Metered calls f with a full budget, and returns what [Catch] catches.
func Metered[T any](f func(*Meter) T) (result T, err error) {
	m := NewMeter()
	defer Catch(&err)
	return f(&m), nil
}

// Step charges n steps, before the work is done. n must not be negative.
func (m *Meter) Step(n int) {
	if m.steps -= n; m.steps < 0 {
		panic(&failure{message: fmt.Sprintf("stopped after %d steps, the most that one evaluation may take", MaxSteps), cause: ErrBudget})
	}
}

// Alloc charges n bytes, before they are allocated. n must not be negative.
// Memory that is no longer used is not credited.
func (m *Meter) Alloc(n int) {
	if m.bytes -= n; m.bytes < 0 {
		panic(&failure{message: fmt.Sprintf("stopped after allocating %d bytes, the most that one evaluation may allocate", MaxBytes), cause: ErrBudget})
	}
}

// scan charges for searching or comparing a string of n bytes.
func (m *Meter) scan(n int) { m.Step(1 + n/16) }

// rewrite charges for processing a string of n bytes character by character.
func (m *Meter) rewrite(n int) { m.Step(1 + n/3) }

// sort charges for sorting n elements.
func (m *Meter) sort(n int) { m.Step(n*bits.Len(uint(n))/3 + 1) }

// failure is what an evaluation panics with, and the error that Run returns, there
// with the location in its message.
type failure struct {
	message string
	cause   error
}

func (f *failure) Error() string { return f.message }
func (f *failure) Unwrap() error { return f.cause }

func fail(format string, args ...any) {
	panic(&failure{message: fmt.Sprintf(format, args...)})
}

// toFailure converts what was recovered from a panic. A panic with anything but a
// *failure is a defect of this package or of the library; it must not take down
// the process, and with it every other lead.
func toFailure(recovered any) *failure {
	switch r := recovered.(type) {
	case *failure:
		return r
	case error:
		return &failure{message: r.Error(), cause: r}
	}
	return &failure{message: fmt.Sprint(recovered)}
}
