package store

import (
	"errors"
	"math"
	"time"

	"github.com/leadflow-go/leadflow/lead"
)

// Millis is a moment: milliseconds since 1970 in UTC. Zero means none.
type Millis int64

// MaxMillis is later than every moment that a store holds.
const MaxMillis Millis = math.MaxInt64

// MillisOf returns the moment t, rounded down; zero for the zero time.
func MillisOf(t time.Time) Millis {
	if t.IsZero() {
		return 0
	}
	return Millis(t.UnixMilli())
}

// Time returns the moment in UTC; the zero time for zero.
func (m Millis) Time() time.Time {
	if m == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(m)).UTC()
}

// Add returns the moment d later, rounded up to a whole millisecond, so that
// nothing is due early. It stops short of MaxMillis.
func (m Millis) Add(d time.Duration) Millis {
	ms := int64(d / time.Millisecond)
	if d%time.Millisecond > 0 {
		ms++
	}
	if sum := int64(m) + ms; ms <= 0 || sum > int64(m) {
		return min(Millis(sum), MaxMillis-1)
	}
	return MaxMillis - 1
}

// Phase is how far the current step of a lead has come. It is part of the
// lead's record, because a lead has one current step. The zero Phase is
// invalid.
type Phase uint8

// The phases of a step. All but PhaseWaiting and PhaseEnded are in flight.
const (
	PhaseWaiting  Phase = iota + 1 // for Due, a slot, or an active workflow
	PhaseRunning                   // its handler was called, or is about to be
	PhaseAwaiting                  // the outcome will come by callback, or at Deadline
	PhaseRetrying                  // the next attempt is due at Due
	PhaseHooks                     // the outcome is on record, completion hooks run
	PhaseEnded                     // the lead is final
)

// Record is the part of a lead that changes at every step.
type Record struct {
	Seq      int64 // the lead's number, from Reserve; its key
	Workflow int64 // the workflow's number
	// Version counts the changes of the record, from 1.
	Version int64
	State   lead.State

	// The current step.
	Phase   Phase
	Shard   int16 // ShardOf its contact, in a Shared store; else 0
	Node    int32 // index into the workflow's nodes
	Visit   int32 // number of the current step among the lead's
	Visits  int32 // highest number given to any of them
	Attempt int32 // the attempt begun last; 0 before the first
	Entered Millis
	Due     Millis // when the step is to start, its wait ends, or its next attempt is due
	Started Millis // when the attempt begun last was begun
	// Deadline is when the attempt in flight counts as failed; zero when none is.
	Deadline Millis

	// Wake is where the lead stands in the order in which the engine takes leads
	// up: at or before the moment at which something must happen to it. Zero
	// exactly when the lead is final. Readers of Due find leads by it.
	Wake        Millis
	LastStep    int64 // Seq of the lead's last finished step; 0 before the first
	Updated     Millis
	Outcome     string // of a completed lead
	EngineState []byte // the engine's own, nil for most; the store only keeps it
}

// Key is the place of a lead in due order.
type Key struct {
	Wake Millis
	Seq  int64
}

// Key returns the record's place in due order.
func (r *Record) Key() Key { return Key{r.Wake, r.Seq} }

// Less reports whether k comes before other.
func (k Key) Less(other Key) bool {
	return k.Wake < other.Wake || k.Wake == other.Wake && k.Seq < other.Seq
}

// Contact is the part of a lead that a step never changes. ExternalID, TimeZone
// and Metadata can be changed by [Batch.Contacts], the rest stays as it was
// enrolled.
type Contact struct {
	Seq        int64 // the lead's number
	ID         lead.ID
	Phone      int64 // see lead.PhoneDigits
	ExternalID string
	TimeZone   string
	Metadata   []byte // a JSON object, or nil
	Enrolled   Millis
}

// Payload is bytes beside a lead, such as the data of a scheduled message: they
// may be many, and are not written again when the lead takes a step. A lead has
// at most one for each visit. The store does not look into Data.
type Payload struct {
	Lead  int64 // Seq of the lead
	Visit int32 // from 0 to lead.MaxVisits
	Data  []byte
}

// StepKind tells a step of the lead's path from one beside it.
type StepKind uint8

// The kinds of steps.
const (
	StepVisit   StepKind = iota // a visit to a node
	StepMessage                 // a message that a handler of the node scheduled
)

// Step is a finished step, written once.
type Step struct {
	Seq      int64 // from Reserve; its key
	Prev     int64 // Seq of the lead's step before; 0 for the first
	Lead     int64 // Seq of the lead
	Visit    int32
	Node     int32
	Kind     StepKind
	Status   lead.StepStatus
	Attempts int32  // how many were begun
	Entered  Millis // when the lead arrived
	Due      Millis // when it was, or would have been, due
	Started  Millis // when the last attempt was begun
	Exited   Millis // when it ended
	Outcome  string
	Detail   []byte // the engine's own: earlier attempts, data, errors; nil for most
}

// Call is an entry of the call log. The store fills LeadID and Phone from the
// lead's contact when the entry is first written.
type Call struct {
	Seq        int64 // from Reserve; its key
	Lead       int64
	LeadID     lead.ID
	Workflow   int64
	WorkflowID lead.WorkflowID // filled by the store on reading
	Phone      int64
	Visit      int32
	Entered    Millis // of the step, which its id is made of
	Attempt    int32
	NodeID     string
	Status     lead.StepStatus
	Started    Millis
	Ended      Millis
	CallID     string
	Outcome    string
	Error      string
	Data       []byte
}

// Workflow is a workflow as it is kept.
type Workflow struct {
	Seq         int64 // from Reserve; its key
	ID          lead.WorkflowID
	Version     int64 // counts the changes, from 1
	Status      lead.WorkflowStatus
	Name        string
	Description string
	Definition  []byte // the engine's own
	Created     Millis
	Updated     Millis
	// Deleted hides the workflow from everyone but the engine, which forgets its
	// leads; the row itself stays, because call log entries name it.
	Deleted bool
}

// Setting is a value that holds for all workflows, such as the engine-wide limits.
type Setting struct {
	Name  string
	Value []byte // the engine's own; not empty
}

// Check returns an error if the setting is one that no store keeps.
func (s *Setting) Check() error {
	if s.Name == "" {
		return errors.New("a setting needs a name")
	}
	return nil
}
