package life

import (
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
)

// Provider is what those who make the calls know of all leads together. It reports where
// that breaks a promise, independently of the rules. The zero value knows nothing. It must
// be told in the order in which things happened, as a [Witness].
type Provider struct {
	made    []Delivery
	stopped []*Suppression // that were acknowledged, and of which nobody has asked that they be lifted
}

// Delivery is a call of a handler, whichever attempt it is for.
type Delivery struct {
	At          time.Time
	Flow        *Flow
	Node        *Node
	Channel     workflow.NodeType
	PhoneNumber string
	ExternalID  string
}

// Suppressed tells that a suppression was acknowledged.
func (p *Provider) Suppressed(s *Suppression) { p.stopped = append(p.stopped, s) }

// Lifted tells that a suppression is about to be lifted.
func (p *Provider) Lifted(s *Suppression) {
	for i, has := range p.stopped {
		if has == s {
			p.stopped = append(p.stopped[:i:i], p.stopped[i+1:]...)
			return
		}
	}
}

// Called tells that a handler was called (promises 13, 14 and 15). For an attempt that had
// begun before a suppression was acknowledged it must be told before that.
func (p *Provider) Called(d Delivery) []Fault {
	var f faults
	for _, s := range p.stopped {
		who := s.PhoneNumber != "" && s.PhoneNumber == d.PhoneNumber || s.ExternalID != "" && s.ExternalID == d.ExternalID
		in := s.Flow == nil || s.Flow.Name == d.Flow.Name
		f.add(who && in && (s.Channel == "" || s.Channel == d.Channel) && (s.Expires.IsZero() || d.At.Before(s.Expires)), 13,
			"%s is contacted by %s at %s, and is suppressed", d.PhoneNumber, d.Channel, d.At)
	}
	for _, hours := range []windows{d.Flow.hours, d.Node.hours} {
		f.add(!hours.open(d.At), 14, "%s is contacted at %s, outside of the calling hours %v", d.PhoneNumber, d.At, hours)
	}
	p.made = append(p.made, d)
	for _, lim := range d.Flow.limits {
		if lim.InFlight > 0 || !lim.of(d) {
			continue
		}
		n, most := 0, lim.Starts+lim.PerContact // one of them is 0
		for _, other := range p.made {
			if other.Flow.Name == d.Flow.Name && lim.of(other) && d.At.Sub(other.At) <= time.Duration(lim.Per) &&
				(lim.Starts > 0 || other.PhoneNumber == d.PhoneNumber) {
				n++
			}
		}
		f.add(n > most, 15, "%d attempts started within %v, at %s; the limit is %d", n, lim.Per, d.At, most)
	}
	return f
}

// of reports whether a delivery counts for the limit. Limits of a rate key are not judged.
func (l *Limit) of(d Delivery) bool {
	return l.RateKey == "" && (l.node == "" || l.node == d.Node.ID) && (l.Channel == "" || l.Channel == d.Channel)
}

// Flying reports where more attempts are in flight than a workflow allows, by the present
// steps of all of its leads (promise 15).
func Flying(flow *Flow, steps []lead.Step) []Fault {
	var f faults
	for _, lim := range flow.limits {
		n := 0
		for _, st := range steps {
			d := Delivery{Node: flow.Node(st.NodeID), Channel: workflow.NodeType(st.NodeType)}
			if st.Status == lead.StepInProgress && lim.of(d) {
				n++
			}
		}
		f.add(lim.InFlight > 0 && n > lim.InFlight, 15, "%d attempts are in flight; the limit is %d", n, lim.InFlight)
	}
	return f
}
