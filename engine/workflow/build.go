package workflow

import (
	"encoding/json"
	"time"
)

// Config is the config of a node, written in Go: any map that encoding/json can
// encode.
type Config = map[string]any

// CallNode returns a voice_call node.
func CallNode(id string, config Config) Node { return newNode(id, VoiceCall, config) }

// MessageNode returns a message node.
func MessageNode(id string, config Config) Node { return newNode(id, Message, config) }

// ApplicationNode returns an application node.
func ApplicationNode(id string, config Config) Node { return newNode(id, Application, config) }

// Wait returns a time node that holds a lead for d.
func Wait(id string, d time.Duration) Node {
	return newNode(id, Time, Config{"duration": Duration(d)})
}

// WaitUntil returns a time node that holds a lead until the time that the
// expression gives.
func WaitUntil(id, expression string) Node { return newNode(id, Time, Config{"until": expression}) }

// WaitSaid returns a time node that holds a lead until when the person said, which the
// expression gives as a text such as "tomorrow 4 PM"; or for otherwise, if it cannot be
// understood; 0 means [DefaultOtherwise].
func WaitSaid(id, expression string, otherwise time.Duration) Node {
	config := Config{"said": expression}
	if otherwise != 0 {
		config["otherwise"] = Duration(otherwise)
	}
	return newNode(id, Time, config)
}

// WaitSignal returns a time node that holds a lead until a signal comes, at most for
// timeout. Its edges are labelled [SignalOutcome] and [TimeoutOutcome].
func WaitSignal(id, signal string, timeout time.Duration) Node {
	return newNode(id, Time, Config{"signal": signal, "duration": Duration(timeout)})
}

// SplitNode returns a split node. It has an edge for each key of the weights, which
// gets that share of the leads.
func SplitNode(id string, weights map[string]float64) Node {
	return newNode(id, Split, Config{"weights": weights})
}

// If returns a conditional node that tests an expression.
func If(id, expression string) Node {
	return newNode(id, Conditional, Config{"expression": expression})
}

// IfAll returns a conditional node that is true when all of the conditions are.
func IfAll(id string, conditions ...Condition) Node {
	return newNode(id, Conditional, Config{"conditions": conditions})
}

// IfAny returns a conditional node that is true when at least one of the
// conditions is.
func IfAny(id string, conditions ...Condition) Node {
	return newNode(id, Conditional, Config{"conditions": conditions, "match": matchAny})
}

// End returns a terminal node; t is [Converted] or [Dropped].
func End(id string, t NodeType) Node { return Node{ID: id, Type: t} }

// To returns the edge of a time node.
func To(from, to string) Edge { return Edge{From: from, To: to} }

// On returns the edge that an outcome takes.
func On(from, label, to string) Edge { return Edge{From: from, Label: label, To: to} }

// WithLabel returns the node with a label.
func (n Node) WithLabel(label string) Node { n.Label = label; return n }

// WithHandler returns the node with a handler name.
func (n Node) WithHandler(name string) Node { n.Handler = name; return n }

// WithRetry returns the node with a retry rule.
func (n Node) WithRetry(retry Retry) Node { n.Retry = &retry; return n }

// WithTimeout returns the node with a timeout.
func (n Node) WithTimeout(d time.Duration) Node { n.Timeout = Duration(d); return n }

// WithUnknown returns the node with what happens to an attempt whose outcome is unknown
// after a crash.
func (n Node) WithUnknown(u Unknown) Node { n.Unknown = u; return n }

// WithHours returns the node with calling hours.
func (n Node) WithHours(h CallingHours) Node { n.CallingHours = &h; return n }

// WithLimits returns the node with limits.
func (n Node) WithLimits(limits ...Limit) Node { n.Limits = limits; return n }

// WithRateKey returns the node with a rate key: a name, or an expression that gives one.
func (n Node) WithRateKey(key string) Node { n.RateKey = key; return n }

// unencodable is the beginning of a config that could not be encoded. It is not
// JSON, so that validation reports it: constructors that return errors would make a
// workflow in Go unreadable.
const unencodable = "cannot be encoded as JSON: "

func newNode(id string, t NodeType, config Config) Node {
	n := Node{ID: id, Type: t}
	if len(config) == 0 {
		return n
	}
	data, err := json.Marshal(config)
	if err != nil {
		data = []byte(unencodable + err.Error())
	}
	n.Config = data
	return n
}
