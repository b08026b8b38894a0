package enginetest

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/leadflow-go/leadflow/engine"
)

// Script has the answers to attempts, by the id of the node. The key for messages that
// a node's handler scheduled is the node's id followed by "+message". Attempts that are
// not in the script succeed immediately.
type Script map[string]Answer

// Answer decides the result of an attempt. This package has the common ones; you can
// write your own. It is called on the goroutine that lets time pass, one call at a time.
type Answer func(a *Attempt) Reply

// Attempt is an attempt as a script sees it.
type Attempt struct {
	engine.Attempt
	// Lead is the lead's number: 1 for the first lead in the store.
	Lead int64
	// Visit is how often the lead has come to the node, this time included; for a
	// scheduled message, the number of the step.
	Visit int

	key     uint64
	choices uint64
}

// Reply is the result of an attempt. Its zero value is immediate success.
type Reply struct {
	// Result is what the handler returns. With InFlight set and no After, no callback
	// comes unless the test sends one.
	engine.Result
	// Err fails the attempt; the node's retry policy applies.
	Err error
	// Takes is how long the handler runs.
	Takes time.Duration
	// After, if more than 0, has the outcome come by callback, this long after the
	// handler has returned; the handler answers InFlight. A callback that the engine
	// refuses as invalid is an error of Advance.
	After time.Duration

	// wrong says what is wrong with the script itself.
	wrong string
}

// misused is the answer for wrong arguments. It ends the run with an error, because a
// failed attempt could be what the test expects.
func misused(text string) Answer {
	return func(*Attempt) Reply { return Reply{wrong: text} }
}

// reply calls the answer; a nil answer is a fault of the script.
func (f Answer) reply(a *Attempt) Reply {
	if f == nil {
		return Reply{wrong: "there is no answer"}
	}
	return f(a)
}

// Outcome is an attempt with that outcome; "" is the node type's success outcome.
func Outcome(name string) Answer {
	return func(*Attempt) Reply { return Reply{Result: engine.Result{Outcome: name}} }
}

// Fail is an attempt that fails with an error of that text.
func Fail(text string) Answer {
	err := errors.New(text)
	return func(*Attempt) Reply { return Reply{Err: err} }
}

// FailFinal is an attempt that fails without a retry.
func FailFinal(text string) Answer {
	err := engine.NonRetryable(errors.New(text))
	return func(*Attempt) Reply { return Reply{Err: err} }
}

// NeverCalls is a call whose callback never comes: the step fails at its deadline.
func NeverCalls() Answer {
	return func(*Attempt) Reply { return Reply{Result: engine.InFlight("")} }
}

// Panic is a handler that panics.
func Panic(text string) Answer {
	return func(*Attempt) Reply { panic(text) }
}

// After has the outcome come by callback, d after the handler has returned. If d is 0
// or less, the handler returns the outcome. A failed attempt has no outcome that could
// come later, so After on a [Fail] ends the run with an error: use Taking.
func (f Answer) After(d time.Duration) Answer { return f.AfterBetween(d, d) }

// AfterBetween is After with a random time between the two, which may be in either
// order.
func (f Answer) AfterBetween(least, most time.Duration) Answer {
	return func(a *Attempt) Reply {
		r := f.reply(a)
		r.After = a.Between("after", least, most)
		if r.Err != nil && r.After > 0 {
			r.wrong = "After is for attempts with an outcome, and this one fails; use Taking"
		}
		return r
	}
}

// Taking makes the handler run for d.
func (f Answer) Taking(d time.Duration) Answer { return f.TakingBetween(d, d) }

// TakingBetween is Taking with a random time between the two, which may be in either
// order. A negative time counts as 0.
func (f Answer) TakingBetween(least, most time.Duration) Answer {
	return func(a *Attempt) Reply {
		r := f.reply(a)
		r.Takes = a.Between("taking", least, most)
		return r
	}
}

// With sets the data that the handler or the callback returns with the outcome.
func (f Answer) With(data map[string]any) Answer {
	return func(a *Attempt) Reply {
		r := f.reply(a)
		r.Data = maps.Clone(data)
		return r
	}
}

// ID sets the provider's id of the call.
func (f Answer) ID(callID string) Answer {
	return func(a *Attempt) Reply {
		r := f.reply(a)
		r.CallID = callID
		return r
	}
}

// Schedule makes the handler schedule a message beside the lead's path.
func (f Answer) Schedule(m engine.Message) Answer {
	return func(a *Attempt) Reply {
		r := f.reply(a)
		r.Result.Schedule = append(r.Result.Schedule, m)
		return r
	}
}

// Choice is one of the answers of [OneOf], and its weight relative to the others.
type Choice struct {
	Weight float64
	Answer Answer
}

// Weighted returns a choice. Of two choices with the weights 60 and 20, the first is
// picked three times out of four.
func Weighted(weight float64, a Answer) Choice { return Choice{weight, a} }

// OneOf picks one of the answers at random. A choice whose weight is not more than 0 is
// never picked; if there is no other, the run ends with an error.
func OneOf(choices ...Choice) Answer {
	choices = slices.DeleteFunc(slices.Clone(choices), func(c Choice) bool { return !(c.Weight > 0) })
	sum := 0.0
	for _, c := range choices {
		sum += c.Weight
	}
	if len(choices) == 0 {
		return misused("OneOf needs a choice whose weight is more than 0")
	}
	return func(a *Attempt) Reply {
		a.choices++ // an answer may itself be a OneOf, which needs another number
		at := a.chance(a.choices) * sum
		for _, c := range choices {
			if at -= c.Weight; at < 0 {
				return c.Answer.reply(a)
			}
		}
		return choices[len(choices)-1].Answer.reply(a) // rounding
	}
}

// Times answers the first n attempts of a step with first, and later ones with then.
func Times(n int, first, then Answer) Answer {
	return func(a *Attempt) Reply {
		if a.Number <= n {
			return first.reply(a)
		}
		return then.reply(a)
	}
}

// Visits answers a lead's first visit to the node with the first answer, its second
// visit with the second answer, and so on; further visits get the last answer.
func Visits(answers ...Answer) Answer {
	if len(answers) == 0 {
		return misused("Visits needs an answer")
	}
	return func(a *Attempt) Reply { return answers[min(a.Visit, len(answers))-1].reply(a) }
}

// ByLead gives each person an answer of their own, by phone number in E.164 form
// (+14155552671) or by external id, and all others the answer otherwise.
func ByLead(answers map[string]Answer, otherwise Answer) Answer {
	return func(a *Attempt) Reply {
		if f, ok := answers[a.Contact.PhoneNumber]; ok {
			return f.reply(a)
		}
		if f, ok := answers[a.Contact.ExternalID]; ok && a.Contact.ExternalID != "" {
			return f.reply(a)
		}
		return otherwise.reply(a)
	}
}
