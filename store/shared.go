package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/leadflow-go/leadflow/lead"
)

// Shards is how many parts the contacts of a [Shared] store are split into. A contact's
// leads, in all workflows, are in one shard.
const Shards = 64

// ShardOf returns the shard of the contact with that phone (see lead.PhoneDigits).
func ShardOf(phone int64) int16 { return int16(phone % Shards) }

// Shared is a Store that any number of engines use at the same time, each with a
// Store value of its own. Every engine may change any lead, because a change names the
// version that it was decided on. Only one engine at a time acts on a lead by itself,
// though: begins its attempts, and does what its timers ask for. That is the engine
// that has the lead's shard or, while a handler or hooks run for the lead, the engine
// that runs them.
//
// An engine has a place among the others while its lease lasts. The lease is extended by
// every Commit and every Sync. An engine that has been silent for longer loses its
// place: what it commits then is refused with ErrLost, and its shards go to others.
type Shared interface {
	Store
	// Held reports whether what was committed as the engine with that number is surely
	// still that engine's to act on: nobody can have taken its place by now. It does no
	// I/O. An engine asks it before it calls a handler.
	Held(engine int64) bool
	// Sync extends the lease and returns what the engine has to know of the others. An
	// engine that has no place, or has lost it, gets a new one, under a new number. With
	// take, it gets shards that are nobody's, until it has its share; without, it is to
	// give up all that it has.
	//
	// seen is the Membership.Flows up to which the engine has taken note of changes of
	// workflows. Sync must be called again within Membership.Next, and earlier when
	// Woken says so. It returns notices again until Noted is called. One goroutine at a
	// time calls it.
	Sync(ctx context.Context, take bool, seen int64) (Membership, error)
	// Noted says that the engine has taken note of the notices of the last Membership, so
	// that the next Sync forgets them. The goroutine that calls Sync calls it.
	Noted()
	// Heeded reports whether the engines that such notices are for have taken note of them,
	// and have called Sync after that, or have lost their places. Engine, which must not be
	// 0, and Lead say which notices are meant.
	Heeded(ctx context.Context, notices []Notice) (bool, error)
	// Woken receives when another engine has changed something that this one should
	// learn of by a Sync. It may receive nothing, for example behind a pooler.
	Woken() <-chan struct{}
	// Agreed reports whether all engines that have a place have taken note of all changes
	// of workflows that were committed before the call.
	Agreed(ctx context.Context) (bool, error)
	// LimitUse returns how much of limits all engines use, of one moment: of those among
	// keys of which the store keeps account, in order of Key. It waits for no commit.
	LimitUse(ctx context.Context, keys []string) ([]LimitState, error)
	// Engines returns the engines that have a place, in the order of their numbers.
	Engines(ctx context.Context) ([]EngineInfo, error)
}

// Tx is a transaction of a program's own in the database of a Shared store. What is
// written in it takes effect when the program commits it.
type Tx interface {
	// Workflow returns the version of the workflow with that number, which cannot change
	// before the transaction ends. There is an error that matches ErrNotFound.
	Workflow(ctx context.Context, seq int64) (version int64, err error)
	// Load is that of LoopReader, as the transaction sees the leads.
	Load(ctx context.Context, seqs []int64) ([]Lead, error)
	// Write writes the batch, without what Share says of engines. When it returns an
	// error the transaction is as it was before. A batch with Share.Limits or
	// Share.ForgetLimits is refused, because what is used of a limit must not be locked for
	// as long as a program likes.
	Write(ctx context.Context, b *Batch) (Result, error)
}

// Membership is what an engine has to know of the others.
type Membership struct {
	Engine int64 // its number; a new one if it had no place
	// Others are the numbers of the other engines that have a place, in order. Newest is
	// the highest number of all: an engine with a higher one came later.
	Others []int64
	Newest int64
	Shards []int16 // those of this engine, in order
	// Give are those of Shards that the engine should give up by Share.Release, so that
	// all have as many.
	Give []int16
	// Flows counts the changes of workflows and settings by other engines since this one
	// has its place.
	Flows   int64
	Notices []Notice
	Next    time.Duration // call Sync again after this time at the latest
}

// Share is the part of a [Batch] that concerns the engines of a [Shared] store. Other
// stores ignore it.
type Share struct {
	// Engine is the engine that has decided the batch. If that is not 0, and not the
	// number of the engine's present place, the batch is refused with ErrLost.
	Engine int64
	// Flows is the Membership.Flows of the workflows that the batch was decided on. If
	// that is not the present one, and Engine is not 0, the batch is refused with
	// ErrBehind.
	Flows   int64
	Release []int16 // shards that the engine gives up
	Notices []Notice
	// Partial: changes of leads that are stale are left out, and the rest is written.
	// Else one of them refuses the batch, as those of leads that Contacts names always do.
	Partial bool
	Wake    bool // has the other engines call Sync soon, also without notices
	// Expect are numbers of leads that the batch was decided on. If one is different by
	// now the batch is refused with a ConflictError.
	Expect []Expectation
	// Contacts are the leads of contacts that the batch was decided on. If a contact has
	// another one by now the batch is refused with a ConflictError.
	Contacts []ContactExpectation
	// Suppressed are the suppressions that the batch was decided on. If they are others by
	// now, because of another engine, the batch is refused with a ConflictError.
	Suppressed []SuppressionExpectation
	// Limits are what the batch uses of limits, and what it gives back. If it would exceed
	// one, the batch is refused with a [*LimitError]. Engine and Flows must be set.
	Limits []LimitUse
	// ForgetLimits are keys of limits that are no longer in force, or that count other
	// attempts than before. What is kept of them is deleted. Only a batch that changes a
	// workflow or a setting can have them: then no engine that has not taken note of it
	// can use such a limit any more. A limit is not both here and in Limits.
	ForgetLimits []string
}

// LimitUse is a change of what is used of a limit by all engines together. The store keeps
// account of it: how many attempts are in flight, and when attempts have started, by its
// own clock, since the engines' clocks may differ.
//
// Those of a batch with the same Key add up. If the sum of Flying is positive, the limit is
// exceeded when more than Max would be in flight then. If there are Starts, it is exceeded
// when more than Max would have started within Span before now, both ends included. Else
// it is not exceeded, even if more are in flight than is allowed by now. Where Max differs
// the smallest counts.
//
// What is in flight when a limit comes into force is counted by an engine that has taken
// note of it: Base is how many leads there are, before the batch, whose attempt in flight
// counts. The first batch that uses a limit makes the account with that number, and Base
// has no effect in later ones. It is exact also if two engines count at the same time.
// From the batch on that has put the limit in force, one that would change the number is
// either of an engine that has not taken note, and is refused with [ErrBehind], or it uses
// the limit and makes the account. So until there is an account all that count find the
// same number. For starts an account begins with none.
type LimitUse struct {
	Key string // the limit's, not empty; the engine's own
	// Lead is the lead by which this is used; 0 for none. If the lead's change or
	// enrollment is left out of the batch, so is this.
	Lead int64
	Max  int64
	// Flying is how many more attempts are in flight, of a limit of attempts in flight; it
	// may be negative. The account is never less than 0.
	Flying int64
	Base   int64
	// Starts is how many attempts start now, of a limit of starts within Span. It is not
	// negative: a start is not taken back.
	Starts int32
	// Span is positive for a limit of starts, and 0 for one of attempts in flight. It is
	// always the same for the same Key, and exact to the microsecond.
	Span time.Duration
}

// Check returns an error if no store takes this.
func (u *LimitUse) Check() error {
	switch {
	case u.Key == "":
		return errors.New("it needs a key")
	case u.Max < 0 || u.Base < 0 || u.Starts < 0 || u.Span < 0:
		return fmt.Errorf("%q: Max, Base, Starts and Span must not be negative", u.Key)
	case u.Span == 0 && u.Starts != 0:
		return fmt.Errorf("%q: Starts needs a Span", u.Key)
	case u.Span != 0 && (u.Flying != 0 || u.Base != 0):
		return fmt.Errorf("%q: with a Span, Flying and Base must be 0", u.Key)
	}
	return nil
}

// LimitState is how much of a limit all engines use.
type LimitState struct {
	Key    string
	Flying int64
	// Starts are the attempts that have started within Span, and some that are older, the
	// oldest first.
	Starts []StartAge
}

// StartAge is how long ago, by the store's clock, N attempts have started at the same
// moment. It is not negative.
type StartAge struct {
	Age time.Duration
	N   int32
}

// Notice tells the engines that a lead of theirs was changed by another.
type Notice struct {
	Shard  int16 // tells the engine that has the shard, if Engine is 0
	Engine int64 // tells that engine
	// Lead is the lead that was changed; 0 for one or more that are new, the first of
	// which wakes at Wake.
	Lead int64
	Wake Millis
}

// Expectation is how many leads of a workflow are in one of the states.
type Expectation struct {
	Workflow int64
	States   []lead.State
	Leads    int64
}

// ContactExpectation is which leads of a contact, found by either Phone or ExternalID, are
// not final. The contact may have others that the batch enrolls.
type ContactExpectation struct {
	Phone      int64  // 0 for none
	ExternalID string // "" for none
	Workflow   int64  // 0 for all
	Leads      []int64
}

// SuppressionExpectation is what a batch assumes of suppressions: that none of Seqs is
// lifted, and that no other suppression that is Active at the time At is about any of the
// phones or external ids, whatever its scope.
type SuppressionExpectation struct {
	Phones      []int64
	ExternalIDs []string
	At          Millis
	Seqs        []int64
}

// EngineInfo describes an engine that has a place.
type EngineInfo struct {
	Engine int64
	Name   string
	Takes  bool          // it takes shards: it was started and is not shutting down
	Lease  time.Duration // what is left of its lease; not positive if that has run out
	Shards []int16
	Joined time.Time
}

var (
	// ErrLost: the engine has lost its place, because it was silent for longer than its
	// lease. It matches ErrUnavailable.
	ErrLost = lostError{}
	// ErrBehind: another engine has changed a workflow, and this one has not taken note.
	ErrBehind = errors.New("store: another engine has changed a workflow")
	// ErrLimit: a limit would have been exceeded. See [LimitError].
	ErrLimit = errors.New("store: a limit is used up")
	// ErrOutcomeUnknown: the store was closed before it could find out whether the batch
	// was committed.
	ErrOutcomeUnknown = errors.New("store: it is not known whether the change was made")
)

// LimitError refuses a batch that would exceed a limit. Other engines may have used it since
// this one asked; it may be allowed again later. It matches ErrLimit.
type LimitError struct {
	Key string // of a limit that the batch would exceed; there may be others
}

func (e *LimitError) Error() string { return fmt.Sprintf("store: limit %q is used up", e.Key) }

// Is reports whether target is ErrLimit.
func (e *LimitError) Is(target error) bool { return target == ErrLimit }

type lostError struct{}

func (lostError) Error() string {
	return "store: this engine has lost its place; another may have taken over its leads"
}
func (lostError) Is(target error) bool { return target == ErrUnavailable }
