package enginetest

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/leadflow-go/leadflow/engine"
)

// Script says what comes of the attempts at each node, by the node's id. The
// messages that a handler of a node scheduled go by the id with "+message"
// behind it. What is not in the script succeeds at once.
type Script map[string]Answer

// Answer decides what becomes of an attempt. This package has the common ones,
// and a function of one's own is as good.
type Answer func(a *Attempt) Reply

// Attempt is an attempt as a script sees it.
type Attempt struct {
	engine.Attempt
	// Lead is the lead's number: 1 for the first that the store has seen.
	Lead int64
	// Visit is how often the lead has come to the node, this time included; of a
	// scheduled message, the number of the step.
	Visit int

	key     uint64
	choices uint64
}

// Reply is what becomes of an attempt. Its zero value is success, at once.
type Reply struct {
	// Result is the handler's. With InFlight set and no After the outcome never
	// comes, unless the test itself sends it.
	engine.Result
	// Err fails the attempt; the node's retry rule says what then.
	Err error
	// Takes is how long the handler runs.
	Takes time.Duration
	// After, if more than 0, is how long after the handler has returned the
	// outcome comes by callback; the handler answers that the step is in flight.
	// A callback that the engine refuses as invalid is an error of Advance.
	After time.Duration

	// wrong says that the script itself is at fault.
	wrong string
}

// misused is an answer that no script can mean: it ends the run with an error,
// because a test that expects a failure would take it for one.
func misused(text string) Answer {
	return func(*Attempt) Reply { return Reply{wrong: text} }
}

// reply is what the answer says, also when there is none.
func (f Answer) reply(a *Attempt) Reply {
	if f == nil {
		return Reply{wrong: "there is no answer"}
	}
	return f(a)
}

// Outcome is an attempt that comes to that outcome; "" is the node type's good
// one.
func Outcome(name string) Answer {
	return func(*Attempt) Reply { return Reply{Result: engine.Result{Outcome: name}} }
}

// Fail is an attempt that fails with an error of that text.
func Fail(text string) Answer {
	err := errors.New(text)
	return func(*Attempt) Reply { return Reply{Err: err} }
}

// FailFinal is an attempt that fails, and after which no other is made.
func FailFinal(text string) Answer {
	err := engine.NonRetryable(errors.New(text))
	return func(*Attempt) Reply { return Reply{Err: err} }
}

// NeverCalls is a live call whose callback never comes: the step ends at its deadline.
func NeverCalls() Answer {
	return func(*Attempt) Reply { return Reply{Result: engine.InFlight("")} }
}

// Panic is a handler that panics.
func Panic(text string) Answer {
	return func(*Attempt) Reply { panic(text) }
}

// After has the outcome come by callback, d after the handler has returned. With
// 0, or less, it is the handler's answer itself. An attempt that fails does so when
// its handler returns, so After a [Fail] ends the run with an error: use Taking.
func (f Answer) After(d time.Duration) Answer { return f.AfterBetween(d, d) }

// AfterBetween is After with a time between the two that chance picks, in either
// order. Where it picks 0, the outcome is the handler's answer itself.
func (f Answer) AfterBetween(least, most time.Duration) Answer {
	return func(a *Attempt) Reply {
		r := f.reply(a)
		r.After = a.Between("after", least, most)
		if r.Err != nil && r.After > 0 {
			r.wrong = "After has an outcome come later, and an attempt that fails has none; use Taking"
		}
		return r
	}
}

// Taking has the handler run for d.
func (f Answer) Taking(d time.Duration) Answer { return f.TakingBetween(d, d) }

// TakingBetween is Taking with a time between the two that chance picks, in
// either order. One below 0 is 0.
func (f Answer) TakingBetween(least, most time.Duration) Answer {
	return func(a *Attempt) Reply {
		r := f.reply(a)
		r.Takes = a.Between("taking", least, most)
		return r
	}
}

// With adds what the handler, or its callback, returns besides the outcome.
func (f Answer) With(data map[string]any) Answer {
	return func(a *Attempt) Reply {
		r := f.reply(a)
		r.Data = maps.Clone(data)
		return r
	}
}

// ID gives the call the provider's name for it.
func (f Answer) ID(callID string) Answer {
	return func(a *Attempt) Reply {
		r := f.reply(a)
		r.CallID = callID
		return r
	}
}

// Schedule has the handler schedule a message beside the lead's path.
func (f Answer) Schedule(m engine.Message) Answer {
	return func(a *Attempt) Reply {
		r := f.reply(a)
		r.Result.Schedule = append(r.Result.Schedule, m)
		return r
	}
}

// Choice is an answer among several of [OneOf], and its weight: how likely it is
// beside the others.
type Choice struct {
	Weight float64
	Answer Answer
}

// Weighted returns a choice. Of two with the weights 60 and 20, the first is the
// answer three times of four.
func Weighted(weight float64, a Answer) Choice { return Choice{weight, a} }

// OneOf leaves the answer to chance. A choice whose weight is not more than 0 is
// never made; when all are such, the run ends with an error.
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
		a.choices++ // one of the answers may be left to chance itself
		at := a.chance(a.choices) * sum
		for _, c := range choices {
			if at -= c.Weight; at < 0 {
				return c.Answer.reply(a)
			}
		}
		return choices[len(choices)-1].Answer.reply(a) // rounding
	}
}

// Times answers the first n attempts of a step in one way, and later ones in
// another.
func Times(n int, first, then Answer) Answer {
	return func(a *Attempt) Reply {
		if a.Number <= n {
			return first.reply(a)
		}
		return then.reply(a)
	}
}

// Visits answers a lead's first visit to the node with the first of the answers,
// its second with the second, and every later one with the last.
func Visits(answers ...Answer) Answer {
	if len(answers) == 0 {
		return misused("Visits needs an answer")
	}
	return func(a *Attempt) Reply { return answers[min(a.Visit, len(answers))-1].reply(a) }
}

// ByLead answers for each person in another way, by phone number as the store has
// it (+14155552671) or external id, and for those that are not named as otherwise says.
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
