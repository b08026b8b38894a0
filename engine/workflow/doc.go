// Package workflow is the graph that leads move through: nodes joined by
// labelled edges, read from JSON or written in Go, validated with all faults
// reported at once, and compiled into a [Graph] that answers where a lead goes
// next. It is data and evaluation only: it starts no goroutine, does no I/O except
// to load time zones, and knows neither engine nor store. A Graph is safe for
// concurrent use; a [Definition] is plain data.
//
//	d := &workflow.Definition{
//		Name:  "Nurture",
//		Entry: "first",
//		Nodes: []workflow.Node{
//			workflow.CallNode("first", nil).WithRetry(workflow.Retry{MaxAttempts: 3, Delay: workflow.Duration(30 * time.Minute)}),
//			workflow.Wait("pause", 48*time.Hour),
//			workflow.If("adult", `int(metadata.age) >= 18`),
//			workflow.End("won", workflow.Converted),
//			workflow.End("lost", workflow.Dropped),
//		},
//		Edges: []workflow.Edge{
//			workflow.On("first", "completed", "adult"),
//			workflow.On("first", workflow.DefaultLabel, "pause"),
//			workflow.To("pause", "first"),
//			workflow.On("adult", "true", "won"),
//			workflow.On("adult", "false", "lost"),
//		},
//	}
//	g, err := workflow.Compile(d)
//
// # Nodes and their config
//
//	voice_call, message, application   any JSON object, for the step handler
//	time                               one of
//	                                     duration ("48h")
//	                                     until (an expression that gives a time)
//	                                     said (an expression that gives what the person said about
//	                                     when), with otherwise (a duration, "24h" by default)
//	                                     signal (a name), with duration as the time-out
//	conditional                        expression, or conditions with match "all" (the default) or "any"
//	split                              weights ({"a": 50, "b": 50}), at most 20
//	converted, dropped                 nothing
//
// Edges of action nodes are labelled with outcomes; "default" takes the rest. One with
// the label "suppressed" is taken by leads whose step a suppression of the channel kept
// from starting. Those of a conditional node are "true" and "false", those of a time node
// with a signal are "signal" and "timeout", and a split node has one for each key of its
// weights. The edge of any other time node has no label.
//
// A split node deals leads by their numbers: a lead always falls the same way, and of any
// 1,000 leads with consecutive numbers each edge gets its share to within 1%.
// Split nodes deal independently of each other.
//
// The step handler of an action node is the one that its handler field names, or
// else the one with the name of its type. Its unknown field says what happens when a
// crash interrupted an attempt and the handler cannot tell what became of it:
// "redeliver" (the default) has the attempt made again, and "fail" lets the step fail, so
// that nobody is called twice.
//
// Cycles are allowed, and are how a workflow tries again. A cycle of conditional and
// split nodes only is refused, because a lead would never leave it.
//
// # Rules
//
// Besides its graph a workflow says when, how often and how long people are contacted:
//
//	time_zone       an IANA name, for leads whose own zone is unknown and whose number does not tell
//	calling_hours   windows of days and local times, or a preset ("us": every day from 08:00 to
//	                21:00), holidays, and the spread over which leads are dealt when a window opens
//	limits          how many attempts may be in flight, start in a span of time, or reach one
//	                person in a span of time; of all attempts, of a channel, or of a rate key
//	exits           signals that complete a lead, and with which outcome
//	priority        the weight of the workflow where it shares a limit with others
//	guard           the share of an outcome among the last steps that pauses the workflow
//
// An action node may have calling_hours and limits of its own, and both it and the
// workflow must allow an attempt. Its rate_key names what its attempts share with others:
//
//	"calling_hours": {"windows": [{"days": ["mon", "tue"], "from": "09:00", "to": "20:30"}], "holidays": ["2026-12-25"], "spread": "10m"}
//	"limits": [{"in_flight": 50}, {"starts": 100, "per": "1m"}, {"per_contact": 3, "per": "24h", "channel": "voice_call"}]
//	"exits": [{"signal": "paid", "outcome": "converted"}]
//	"guard": {"outcome": "failed", "share": 0.2, "of": 100}
//	"rate_key": "metadata.line"
//
// # What people say about when
//
// said gives a text in English such as "tomorrow 4 PM", "Tuesday 10:30 AM", "evening 7",
// "05/06/2026 16:30", "in two hours", "half past four", "monday morning" or "not before
// friday". It is understood on the clock of the person's time zone, and always as a time
// to come. A text that is null, empty or not understood as a whole, and a time that has
// passed, is otherwise. "Next Tuesday" is a week later only when today is Tuesday. Dates
// with slashes are day first, unless only month first is possible. A day without a time
// is 9:00, and an hour alone one of the business day, so that 7 is 19:00 and 8 is 8:00.
// The package doc of internal/said has all rules.
//
// # Expressions
//
// The language is that of github.com/expr-lang/expr. An expression sees
//
//	lead.phone_number  lead.external_id  lead.time_zone
//	metadata.age  metadata["first name"]
//	steps.first.outcome  steps["first-call"].data.score
//	now()
//
// A step has the fields outcome, data, status, attempts, call_id, error, entered_at
// and exited_at. A step that has not happened has the outcome "" and no data; a
// missing key of metadata is nil. To read a field of something that may be missing,
// write metadata.address?.city; to compare it by size, give it a value first, as in
// (metadata.score ?? 0) > 5: nil has no order, and an evaluation that fails is an
// error of [Graph.Test]. Metadata that was imported from CSV consists of strings, so
// a number in it is int(metadata.age) or float(metadata.price).
//
// An expression is checked when it is compiled: its names, the nodes after steps,
// and its type as far as it can be known then. It has at most [MaxExpression] bytes.
//
// # Numbers
//
// Integers keep all their digits: metadata.crm == 1152921504606846977 does not hold
// for 1152921504606847000. Arithmetic on integers is exact up to 64 bits, and an
// error beyond; with a fraction on one side it is that of float64. A number that
// no float64 comes close to, such as 1e400, is an error in an expression, and makes
// a condition false.
//
// # Times and local hours
//
// now() is [Env].Now in UTC, never the machine's clock, so that a simulation
// decides as the real engine would. now() + duration("24h") is a time, and so are
// date("2026-05-01T09:00:00Z") and
// date("2026-05-01 09:00", "2006-01-02 15:04", "Europe/Berlin").
//
// timezone(name) is an IANA time zone, and now().In(zone) is the time there. Whether
// it is between 9:00 and 17:00 where the lead lives is
//
//	now().In(timezone(lead.time_zone)).Hour() in 9..16
//
// and whether it is a working day there is
//
//	int(now().In(timezone(lead.time_zone)).Weekday()) in 1..5
//
// where Sunday is 0. A lead without a time zone has lead.time_zone "", which stands
// for UTC; to use another one, write
//
//	timezone(lead.time_zone != "" ? lead.time_zone : "America/New_York")
//
// Office hours are in the example of [If], and tomorrow at nine where the lead lives,
// for a time node, in that of [WaitUntil]. Time zones are compiled into the program,
// for machines that have none; "Local", the zone of the machine, is refused.
//
// # What an evaluation may cost
//
// No expression and no condition may delay other leads, whatever it says and
// whatever is in the metadata. Each evaluation has a budget of steps and of memory,
// and every operator, function and method is charged for it by the size of its
// operands; the whole budget is 2 to 3 ms of work. An evaluation that needs more is
// stopped with an error that wraps [ErrBudget]. Steps are counted, not time, so that
// equal data give equal results on every machine and in a simulation. An expression
// that would take long to compile is refused: one with more than 1000 names, values
// and operators, or with a pattern that compiles to more than 1000 parts.
//
// Functions that build large values are not available (repeat, join, replace,
// toJSON, map, sort, reduce and others).
//
// # Conditions
//
// A condition is a field, an operator and a value. The field is named as in an
// expression: metadata.age, steps.first.outcome, steps["a.b"].data.list[0],
// lead.time_zone; phone_number, external_id and time_zone can be written without
// lead. Between dots, a name may also contain spaces and dashes: metadata.First Name.
//
//	equals        Numbers by value, also when one of them is a string: 42, 42.0 and "42".
//	              true and false also as strings. Two strings byte by byte: "007" is not "7".
//	              Arrays and objects element by element.
//	not_equals    The opposite.
//	exists        The field has a value; with the value false: it has none.
//	contains      A string contains the string, an array the element, an object the key.
//	greater_than  Two numbers, or strings of numbers, by value; otherwise two RFC 3339
//	less_than     times by time; otherwise as strings, byte by byte. False for true,
//	              false, arrays and objects, which have no order.
//
// If a field is missing, every operator is false, except not_equals, and exists with
// the value false. Null counts as missing, and so does an empty field of lead or of a
// step; an empty string in metadata is a value.
package workflow
