package engine

import (
	"context"
	"iter"

	"github.com/leadflow-go/leadflow/lead"
)

// This file has what enrolling and suppressing a stream or a file have in common.

// EnrollOption is an option for one call of EnrollAll, EnrollCSV, SuppressAll or
// SuppressCSV.
type EnrollOption func(*rowOptions)

// SuppressOption is the same type: the options for rows are those of enrolling, and
// [OnSuppressed].
type SuppressOption = EnrollOption

type rowOptions struct {
	onRow        func(row int, id lead.ID, err error)
	onSuppressed func(row int, s Suppressed, err error)
	region       string
	dryRun       bool
}

// OnRow calls f for every row, in order, once the row is enrolled and on disk, with
// the lead's id, or once it is rejected, with the error. f runs on the goroutine that
// called EnrollAll or EnrollCSV, and holds up the enrollment while it runs. When rows are
// suppressed, ids are zero.
func OnRow(f func(row int, id lead.ID, err error)) EnrollOption {
	return func(o *rowOptions) { o.onRow = f }
}

// OnSuppressed calls f for every row of SuppressAll and SuppressCSV as OnRow does, with the
// suppression, or the one that was on record already, and what it did. Enrolling ignores it.
func OnSuppressed(f func(row int, s Suppressed, err error)) SuppressOption {
	return func(o *rowOptions) { o.onSuppressed = f }
}

// DryRun writes nothing: the report says how many rows would be enrolled or suppressed, and
// why the others would be rejected, contacts that are live in the workflow or twice in the
// input included. Ids are zero. It remembers the person of each row, which takes some tens
// of bytes of memory a row.
func DryRun() EnrollOption {
	return func(o *rowOptions) { o.dryRun = true }
}

// InRegion reads phone numbers without a leading + as national numbers of this region,
// a two-letter ISO 3166 code such as "US", instead of [Config].Region. With an unknown
// region the call fails with a *lead.InvalidError.
func InRegion(region string) EnrollOption {
	return func(o *rowOptions) { o.region = region }
}

// newRowOptions applies and checks options.
func (e *Engine) newRowOptions(options []EnrollOption) (rowOptions, error) {
	o := rowOptions{region: e.config.Region}
	for _, option := range options {
		option(&o)
	}
	if o.region != e.config.Region {
		return o, lead.CheckRegion(o.region)
	}
	return o, nil
}

// chunkSize is how many rows go into one request.
const chunkSize = 500

// rowChunk is a group of rows that are decided in one request.
type rowChunk[T any] interface {
	// add takes a row, or the error that it came with.
	add(row, line int, t T, err error)
	// send asks for what the rows say, and does not wait.
	send(ctx context.Context) error
	// settle waits until that is on disk, and reports the rows. Its error says why none of
	// them is; if ctx has ended, it reports none.
	settle(ctx context.Context) error
}

// inChunks has rows decided by chunks that fresh makes: while one is being written, the
// next is filled. at returns where the row read last is.
func inChunks[T any](ctx context.Context, rows iter.Seq2[T, error], at func() (row, line int), fresh func() rowChunk[T]) error {
	filling, filled := fresh(), 0
	var ahead rowChunk[T] // being written; nil when none is
	// turn sends the chunk that was filled, and reports the one sent before.
	turn := func() error {
		next, had := filling, filled
		filling, filled = fresh(), 0
		failed := next.send(ctx)
		before := ahead
		ahead = nil
		if failed == nil && had > 0 {
			ahead = next
		}
		if before != nil {
			if err := before.settle(ctx); err != nil {
				return err
			}
		}
		return failed
	}
	var failed error
	for t, err := range rows {
		row, line := at()
		filling.add(row, line, t, err)
		if filled++; filled == chunkSize {
			if failed = turn(); failed != nil {
				break
			}
		}
	}
	for failed == nil && (ahead != nil || filled > 0) {
		failed = turn()
	}
	if ahead != nil {
		// It was sent before the failure was known, and may be on disk.
		if err := ahead.settle(ctx); failed == nil {
			failed = err
		}
	}
	return failed
}

// counted returns an at for a stream, whose rows have no lines.
func counted() func() (row, line int) {
	row := 0
	return func() (int, int) { row++; return row, 0 }
}
