package model

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/engine/internal/attack/life"
	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// This file has the operations that hold, suppress and signal.

func phoneOf(person int) string { return fmt.Sprintf("+1415555267%d", person) }

func drawPhone(t *rapid.T) string { return phoneOf(rapid.IntRange(1, 6).Draw(t, "person")) }

func drawID(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", "crm-1", "crm-2"}).Draw(t, "external id")
}

// soon draws a time to come, or none.
func (w *trial) soon(t *rapid.T, label string) time.Time {
	in := rapid.SampledFrom([]time.Duration{0, 0, 10 * time.Minute, 3 * time.Hour, 30 * time.Hour}).Draw(t, label)
	if in == 0 {
		return time.Time{}
	}
	return w.spec.Now.Add(in)
}

func (w *trial) holdLead(t *rapid.T) {
	w.alone(w.askHold(w.anyLead(t), lead.Hold{Until: w.soon(t, "until"), Reason: "on holiday", Actor: "agent"}))
}

func (w *trial) releaseLead(t *rapid.T) {
	l := w.anyLead(t)
	held := slices.DeleteFunc(slices.Clone(w.spec.Leads), func(l *life.Lead) bool { return l.Hold == nil || l.Flow.Deleted })
	if len(held) > 0 && rapid.IntRange(0, 4).Draw(t, "of those held") > 0 {
		l = held[rapid.IntRange(0, len(held)-1).Draw(t, "held")]
	}
	w.alone(w.askRelease(l))
}

func (w *trial) askHold(l *life.Lead, how lead.Hold) *request {
	r := &request{what: fmt.Sprintf("hold %s until %s", l, w.text.After(how.Until))}
	r.ask = func() error {
		_, err := w.eng.Hold(context.Background(), l.Flow.ID, l.ID, engine.Hold{Until: how.Until, Reason: how.Reason, Actor: how.Actor})
		return err
	}
	r.apply = func() error {
		if l.Flow.Deleted {
			return missing("workflow", l.Flow.ID.String(), "")
		}
		w.tally["held while "+l.Doing.String()]++
		w.odd[l] = true
		if l.State == lead.Enrolled || l.State == lead.InStep {
			w.promises.of(l).Released() // from the hold before; its end may be another now, told or not
		}
		return conflict(w.spec.Hold(l, how), l.Flow.ID, l.ID, lead.StepID{}, l.State.String())
	}
	r.check = func() {
		if l.Hold != nil { // and was not released in the same batch
			w.promises.held(w, l)
		}
	}
	return r
}

func (w *trial) askRelease(l *life.Lead) *request {
	r := &request{what: "release " + l.String()}
	r.ask = func() error {
		_, err := w.eng.Release(context.Background(), l.Flow.ID, l.ID)
		return err
	}
	r.apply = func() error {
		if l.Flow.Deleted {
			return missing("workflow", l.Flow.ID.String(), "")
		}
		if l.Hold != nil {
			w.tally["released while "+l.Doing.String()]++
		}
		err := w.spec.Release(l)
		if err == nil {
			w.promises.of(l).Released()
		}
		return conflict(err, l.Flow.ID, l.ID, lead.StepID{}, l.State.String())
	}
	r.check = func() {}
	return r
}

// signals are the names of those that workflows may wait for.
var signals = []string{"replied", "paid"}

func (w *trial) signal(t *rapid.T) {
	data := rapid.SampledFrom([]string{"", scored}).Draw(t, "data")
	l := w.anyLead(t)
	w.alone(w.askSignal(l, rapid.SampledFrom(signals).Draw(t, "signal"), []byte(data)))
	if w.calls[l] != nil && rapid.Bool().Draw(t, "then the handler answers") {
		w.answer(l, w.drawAnswer(l, true))
		w.settle()
	}
}

func (w *trial) askSignal(l *life.Lead, name string, data []byte) *request {
	var got engine.SignalEffect
	var want life.Effect
	if len(data) == 0 {
		data = nil
	}
	r := &request{what: fmt.Sprintf("signal %s to %s", name, l)}
	r.ask = func() (err error) {
		got, err = w.eng.Signal(context.Background(), l.Flow.ID, l.ID, name, signalData(data))
		return err
	}
	r.apply = func() (err error) {
		if l.Flow.Deleted {
			return missing("workflow", l.Flow.ID.String(), "")
		}
		w.odd[l] = true
		before := l.State
		want, err = w.spec.Signal(l, name, data)
		w.tally["signal "+string(want)]++
		return conflict(err, l.Flow.ID, l.ID, lead.StepID{}, before.String())
	}
	r.check = func() {
		if got != engine.SignalEffect(want) {
			w.t.Fatalf("%s: answered %s, want %s", r.what, got, want)
		}
	}
	return r
}

// signalData is data as the engine takes it: nil, or any value that is a JSON object.
func signalData(text []byte) any {
	if text == nil {
		return nil
	}
	return json.RawMessage(text)
}

// person does something to all leads of a person, in one commit.
func (w *trial) person(t *rapid.T) {
	phone := drawPhone(t)
	var got []engine.ContactLead
	var err error
	ctx := context.Background()
	var apply func(l *life.Lead) error
	what := rapid.SampledFrom([]string{"remove", "hold", "release", "signal"}).Draw(t, "to all of a person")
	effects := map[*life.Lead]life.Effect{}
	told := map[lead.ID]engine.SignalEffect{}
	switch what {
	case "remove":
		how := drawRemoval(t)
		options := []engine.RemoveOption{engine.Reason(how.Reason), engine.Actor(how.Actor)}
		if how.SkipRetries {
			options = append(options, engine.SkipRetries())
		}
		got, err = w.eng.RemoveContact(ctx, phone, options...)
		apply = func(l *life.Lead) error {
			err := w.spec.Remove(l, how)
			w.promises.removed(w, l, l.State, how.SkipRetries)
			return err
		}
	case "hold":
		until := w.soon(t, "until")
		got, err = w.eng.HoldContact(ctx, phone, engine.Hold{Until: until})
		apply = func(l *life.Lead) error {
			w.odd[l] = true
			err := w.spec.Hold(l, lead.Hold{Until: until})
			if err == nil {
				w.promises.held(w, l)
			}
			return err
		}
	case "release":
		got, err = w.eng.ReleaseContact(ctx, phone)
		apply = func(l *life.Lead) error {
			w.promises.of(l).Released()
			return w.spec.Release(l)
		}
	case "signal":
		name := rapid.SampledFrom(signals).Draw(t, "signal")
		var signalled []engine.SignalledLead
		signalled, err = w.eng.SignalContact(ctx, phone, name, nil)
		for _, s := range signalled {
			told[s.ID] = s.Effect
		}
		apply = func(l *life.Lead) (err error) {
			w.odd[l] = true
			effects[l], err = w.spec.Signal(l, name, nil)
			return err
		}
	}
	w.t.Logf("%s all leads of %s: %d, %s", what, phone, max(len(got), len(told)), w.named(err))
	if err != nil {
		t.Fatal(err)
	}
	var leads []*life.Lead
	for _, l := range w.spec.Leads {
		if l.Contact.PhoneNumber == phone && !l.State.Final() && !l.Flow.Deleted && apply(l) == nil {
			leads = append(leads, l)
		}
	}
	if what != "signal" {
		w.changed(what, got, leads)
	} else if len(told) != len(leads) {
		t.Fatalf("the signal is answered for %d leads, want %d", len(told), len(leads))
	} else {
		for _, l := range leads {
			if string(told[l.ID]) != string(effects[l]) {
				t.Fatalf("the signal to %s is answered %s, want %s", l, told[l.ID], effects[l])
			}
		}
	}
	w.settle()
}

// changed compares the leads that a change of a person was about.
func (w *trial) changed(what string, got []engine.ContactLead, leads []*life.Lead) {
	w.t.Helper()
	var is, want []string
	for _, g := range got {
		is = append(is, fmt.Sprintf("%s %s", w.leadOf(g.ID), g.State))
	}
	for _, l := range leads {
		want = append(want, fmt.Sprintf("%s %s", l, l.State))
	}
	slices.Sort(is)
	slices.Sort(want)
	w.equal(what+" is answered", strings.Join(is, ", "), strings.Join(want, ", "))
}

func (w *trial) suppress(t *rapid.T) {
	s := life.Suppression{Reason: rapid.SampledFrom([]string{"", "said stop"}).Draw(t, "reason"), Actor: "agent", Expires: w.soon(t, "expires")}
	s.PhoneNumber, s.ExternalID = drawPhone(t), drawID(t)
	if len(w.spec.Leads) > 0 && rapid.Bool().Draw(t, "of a lead") {
		s.PhoneNumber = w.anyLead(t).Contact.PhoneNumber
	}
	if s.ExternalID != "" && rapid.Bool().Draw(t, "only the id") {
		s.PhoneNumber = ""
	}
	if rapid.IntRange(0, 2).Draw(t, "scope") == 0 {
		s.Flow = w.anyFlow(t)
	}
	s.Channel = rapid.SampledFrom([]workflow.NodeType{"", workflow.VoiceCall, workflow.Message, workflow.Application, workflow.VoiceCall}).Draw(t, "channel")
	w.alone(w.askSuppress(s, rapid.IntRange(0, 3).Draw(t, "linked") == 3))
	if rapid.IntRange(0, 3).Draw(t, "and lift it") == 3 {
		w.lift(t)
	}
}

func (w *trial) askSuppress(s life.Suppression, linked bool) *request {
	var got engine.Suppressed
	var fresh bool
	var is *life.Suppression
	var also []*life.Suppression
	var leads []*life.Lead
	var states []lead.State
	ask := engine.Suppress{
		PhoneNumber: s.PhoneNumber, ExternalID: s.ExternalID, Linked: linked, Channel: s.Channel, Reason: s.Reason, Actor: s.Actor, ExpiresAt: s.Expires,
	}
	if s.Flow != nil {
		ask.WorkflowID = s.Flow.ID
	}
	r := &request{what: "suppress " + w.suppressionText(&s)}
	r.ask = func() (err error) {
		got, err = w.eng.Suppress(context.Background(), ask)
		return err
	}
	r.apply = func() error {
		if s.Flow != nil && s.Flow.Deleted {
			return missing("workflow", s.Flow.ID.String(), "")
		}
		is, fresh, also, leads = w.spec.Suppress(s, linked)
		states = nil
		for _, l := range leads {
			w.odd[l] = true
			states = append(states, l.State)
			w.tally["suppressed while "+l.Doing.String()]++
		}
		return nil
	}
	r.check = func() {
		if got.New != fresh || !fresh && got.ID != is.ID || len(got.Linked) != len(also) || len(got.Leads) != len(leads) {
			w.t.Fatalf("%s: answered %+v; want new %t, %d linked, %d leads", r.what, got, fresh, len(also), len(leads))
		}
		w.promises.provider.Suppressed(is)
		for _, other := range also {
			w.promises.provider.Suppressed(other)
		}
		is.ID = got.ID
		for _, other := range also {
			for _, g := range got.Linked {
				if g.PhoneNumber == other.PhoneNumber && g.ExternalID == other.ExternalID {
					other.ID = g.ID
				}
			}
		}
		for i, l := range leads {
			at := slices.IndexFunc(got.Leads, func(g engine.ContactLead) bool { return g.ID == l.ID })
			if at < 0 || got.Leads[at].State != states[i] {
				w.t.Fatalf("%s: answered %+v; want %s for %s", r.what, got.Leads, states[i], l)
			}
			if s.Channel == "" {
				w.promises.removed(w, l, states[i], true)
			}
		}
	}
	return r
}

func (w *trial) lift(t *rapid.T) {
	if len(w.spec.Suppressions) == 0 {
		t.Skip("nobody is suppressed")
	}
	all := w.spec.Suppressions
	w.alone(w.askLift(all[len(all)-1-rapid.IntRange(0, len(all)-1).Draw(t, "suppression")])) // mostly the last one
}

func (w *trial) askLift(s *life.Suppression) *request {
	r := &request{what: "lift " + w.suppressionText(s)}
	r.ask = func() error {
		_, err := w.eng.Lift(context.Background(), s.ID, engine.Actor("agent"), engine.Reason("a mistake"))
		return err
	}
	r.apply = func() error {
		w.promises.provider.Lifted(s)
		return conflict(w.spec.Lift(s, "agent", "a mistake"), lead.WorkflowID{}, lead.ID{}, lead.StepID{}, life.AnyText)
	}
	r.check = func() {}
	return r
}

func (w *trial) suppressionText(s *life.Suppression) string {
	in := "all"
	if s.Flow != nil {
		in = s.Flow.Name
	}
	text := fmt.Sprintf("%s %s in %s for %q because %q by %q until %s", s.PhoneNumber, s.ExternalID, in, s.Channel, s.Reason, s.Actor, w.text.After(s.Expires))
	if !s.Lifted.IsZero() {
		text += fmt.Sprintf(", lifted %s by %q because %q", w.text.After(s.Lifted), s.LiftedBy, s.Because)
	}
	return text
}

// checkSuppressions compares the suppressions on record, and learns the ids of those that
// were not acknowledged because the process died meanwhile.
func (w *trial) checkSuppressions() {
	w.t.Helper()
	list, err := w.eng.Suppressions(context.Background(), engine.SuppressionFilter{})
	if err != nil {
		w.t.Fatalf("Suppressions: %v", err)
	}
	var got, want []string
	for _, g := range list {
		s := &life.Suppression{
			PhoneNumber: g.PhoneNumber, ExternalID: g.ExternalID, Channel: workflow.NodeType(g.Channel), Reason: g.Reason, Actor: g.Actor,
			Expires: g.ExpiresAt, Lifted: g.LiftedAt, LiftedBy: g.LiftedBy, Because: g.LiftReason,
		}
		for _, f := range w.spec.Flows {
			if f.ID == g.WorkflowID {
				s.Flow = f
			}
		}
		got = append(got, w.suppressionText(s))
		for _, unknown := range w.spec.Suppressions {
			if unknown.ID.IsZero() && w.suppressionText(unknown) == w.suppressionText(s) {
				unknown.ID = g.ID
			}
		}
	}
	for _, s := range w.spec.Suppressions {
		want = append(want, w.suppressionText(s))
	}
	slices.Sort(got) // those that are linked are in no particular order
	slices.Sort(want)
	w.equal("the suppressions", strings.Join(got, "\n"), strings.Join(want, "\n"))
}
