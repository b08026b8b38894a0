package lead

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// ID names a lead: "wlead_" and the 26 characters of a UUIDv7.
type ID uuid.UUID

// StepID names a step, one visit of a lead to a node: "step_…".
type StepID uuid.UUID

// WorkflowID names a workflow: "wfl_…".
type WorkflowID uuid.UUID

// SuppressionID names a suppression: "sup_…".
type SuppressionID uuid.UUID

const (
	leadPrefix        = "wlead_"
	stepPrefix        = "step_"
	workflowPrefix    = "wfl_"
	suppressionPrefix = "sup_"
)

// Of the 74 bits that a UUIDv7 leaves free, the upper 40 are the lead's
// sequence number. In a lead's id the rest is random; in a step's id it is the
// visit and the last of the lead's random bits.
const (
	visitBits = 22
	tagBits   = 12
	restBits  = visitBits + tagBits
	lowBits   = 62 - restBits // the bits of the sequence number in the id's second half

	// MaxSeq is the largest sequence number of a lead, or of a suppression, that fits
	// into its id.
	MaxSeq = 1<<40 - 1
	// MaxVisits is how many steps one lead can take.
	MaxVisits = 1<<visitBits - 1
)

// NewWorkflowID returns a fresh id that sorts by the time it was made.
func NewWorkflowID() (WorkflowID, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return WorkflowID{}, fmt.Errorf("lead: new workflow id: %w", err)
	}
	return WorkflowID(id), nil
}

// NewID returns the id of the lead with the sequence number seq, 1 to
// [MaxSeq], enrolled at the given time, which is cut to milliseconds.
func NewID(at time.Time, seq int64) (ID, error) {
	random, err := randomBits()
	if err != nil {
		return ID{}, fmt.Errorf("lead: new lead id: %w", err)
	}
	return IDFrom(at, seq, random), nil
}

// NewSuppressionID returns the id of the suppression with the sequence number seq, 1 to
// [MaxSeq], made at the given time, which is cut to milliseconds.
func NewSuppressionID(at time.Time, seq int64) (SuppressionID, error) {
	random, err := randomBits()
	if err != nil {
		return SuppressionID{}, fmt.Errorf("lead: new suppression id: %w", err)
	}
	return SuppressionIDFrom(at, seq, random), nil
}

func randomBits() (uint64, error) {
	var random [8]byte
	_, err := rand.Read(random[:])
	return binary.BigEndian.Uint64(random[:]), err
}

// IDFrom returns the id that [NewID] makes, with the given bits in place of the
// random ones. It is for simulations, in which a lead has the same id in every
// run.
func IDFrom(at time.Time, seq int64, random uint64) ID { return ID(compose(at, seq, random)) }

// WorkflowIDFrom returns an id for the workflow with the sequence number seq, 1
// to [MaxSeq], with the given bits in place of random ones, as [IDFrom] does
// for leads.
func WorkflowIDFrom(at time.Time, seq int64, random uint64) WorkflowID {
	return WorkflowID(compose(at, seq, random))
}

// SuppressionIDFrom returns the id that [NewSuppressionID] makes, with the given bits in
// place of the random ones, as [IDFrom] does for leads.
func SuppressionIDFrom(at time.Time, seq int64, random uint64) SuppressionID {
	return SuppressionID(compose(at, seq, random))
}

// NewStepID returns the id of a step: the lead's visit number visit, 1 to
// [MaxVisits], begun at the given time, which is cut to milliseconds. The same
// arguments give the same id.
func NewStepID(at time.Time, lead ID, visit int32) StepID {
	tag := binary.BigEndian.Uint64(lead[8:])
	return StepID(compose(at, lead.Seq(), uint64(visit)<<tagBits|tag&(1<<tagBits-1)))
}

// Seq returns the lead's sequence number.
func (id ID) Seq() int64 { return seqOf(id) }

// Seq returns the sequence number of the step's lead.
func (id StepID) Seq() int64 { return seqOf(id) }

// Seq returns the suppression's sequence number.
func (id SuppressionID) Seq() int64 { return seqOf(id) }

// Visit returns the number of the step among its lead's visits, from 1.
func (id StepID) Visit() int32 {
	return int32(binary.BigEndian.Uint64(id[8:]) >> tagBits & (1<<visitBits - 1))
}

func compose(at time.Time, seq int64, rest uint64) (id [16]byte) {
	const version, variant = 7, 2
	high := uint64(at.UnixMilli())<<16 | version<<12 | uint64(seq)>>lowBits&0xfff
	low := uint64(variant)<<62 | uint64(seq)&(1<<lowBits-1)<<restBits | rest&(1<<restBits-1)
	binary.BigEndian.PutUint64(id[:8], high)
	binary.BigEndian.PutUint64(id[8:], low)
	return id
}

func seqOf(id [16]byte) int64 {
	high := binary.BigEndian.Uint64(id[:8]) & 0xfff
	low := binary.BigEndian.Uint64(id[8:]) >> restBits & (1<<lowBits - 1)
	return int64(high<<lowBits | low)
}

// ParseID reads a lead's id. The error matches [ErrNotFound]: a string that is not
// an id names no lead.
func ParseID(text string) (ID, error) {
	id, err := parse(leadPrefix, text)
	return ID(id), err
}

// ParseStepID reads a step's id. The error matches [ErrNotFound].
func ParseStepID(text string) (StepID, error) {
	id, err := parse(stepPrefix, text)
	return StepID(id), err
}

// ParseWorkflowID reads a workflow's id. The error matches [ErrNotFound].
func ParseWorkflowID(text string) (WorkflowID, error) {
	id, err := parse(workflowPrefix, text)
	return WorkflowID(id), err
}

// ParseSuppressionID reads a suppression's id. The error matches [ErrNotFound].
func ParseSuppressionID(text string) (SuppressionID, error) {
	id, err := parse(suppressionPrefix, text)
	return SuppressionID(id), err
}

// IsZero reports whether the id is unset.
func (id ID) IsZero() bool { return id == ID{} }

// IsZero reports whether the id is unset.
func (id StepID) IsZero() bool { return id == StepID{} }

// IsZero reports whether the id is unset.
func (id WorkflowID) IsZero() bool { return id == WorkflowID{} }

// IsZero reports whether the id is unset.
func (id SuppressionID) IsZero() bool { return id == SuppressionID{} }

func (id ID) String() string            { return format(leadPrefix, id) }
func (id StepID) String() string        { return format(stepPrefix, id) }
func (id WorkflowID) String() string    { return format(workflowPrefix, id) }
func (id SuppressionID) String() string { return format(suppressionPrefix, id) }

// MarshalText writes the id as String does.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// MarshalText writes the id as String does.
func (id StepID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// MarshalText writes the id as String does.
func (id WorkflowID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// MarshalText writes the id as String does.
func (id SuppressionID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads an id as [ParseID] does.
func (id *ID) UnmarshalText(text []byte) (err error) { *id, err = ParseID(string(text)); return err }

// UnmarshalText reads an id as [ParseStepID] does.
func (id *StepID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseStepID(string(text))
	return err
}

// UnmarshalText reads an id as [ParseWorkflowID] does.
func (id *WorkflowID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseWorkflowID(string(text))
	return err
}

// UnmarshalText reads an id as [ParseSuppressionID] does.
func (id *SuppressionID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseSuppressionID(string(text))
	return err
}

// The TypeID text form (github.com/jetify-com/typeid, spec v0.3): the 128 bits
// in Crockford's base 32, most significant first, behind two zero bits.
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

const suffixLen = 26

var digits = func() (table [256]byte) {
	for i := range table {
		table[i] = 0xff
	}
	for i := range len(alphabet) {
		table[alphabet[i]] = byte(i)
	}
	return table
}()

func format(prefix string, id [16]byte) string {
	buf := make([]byte, len(prefix)+suffixLen)
	copy(buf, prefix)
	high, low := binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])
	for i := len(buf) - 1; i >= len(prefix); i-- {
		buf[i] = alphabet[low&31]
		low = low>>5 | high<<59
		high >>= 5
	}
	return string(buf)
}

func parse(prefix, text string) (id [16]byte, err error) {
	bad := func() error { return &NotFoundError{Kind: "id", Name: text, Prefix: prefix} }
	if len(text) != len(prefix)+suffixLen || text[:len(prefix)] != prefix {
		return id, bad()
	}
	var high, low uint64
	for i := len(prefix); i < len(text); i++ {
		digit := digits[text[i]]
		if digit == 0xff || i == len(prefix) && digit > 7 {
			return id, bad()
		}
		high = high<<5 | low>>59
		low = low<<5 | uint64(digit)
	}
	binary.BigEndian.PutUint64(id[:8], high)
	binary.BigEndian.PutUint64(id[8:], low)
	return id, nil
}
