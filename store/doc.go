// Package store says what the engine needs of a store, as small interfaces by
// role, and nothing about how one keeps its promises. store/sqlite is the
// default; store/storetest is this contract as a test suite, and a store that
// passes it can be trusted under an engine.
//
// # One way to write
//
// [Writer.Commit] is the only method that changes anything. A [Batch] is atomic
// and, once Commit has returned nil, durable. Each change names the version it
// was decided on, and one that is stale refuses the whole batch with a
// [ConflictError]. The store owns no rule: it never decides a state, and it
// gives the bytes it does not understand ([Record.EngineState], [Step.Detail],
// [Workflow.Definition]) back as they came.
//
// The one thing it knows better than the engine is who is live: an enrollment
// whose contact already has a lead that is not final in the same workflow is
// left out of the batch with all that belongs to it, and named in the [Result].
// So is one whose contact must not be contacted: see [Suppression]. So a batch of a
// thousand new leads needs no thousand questions first, and no enrollment can pass a
// suppression.
//
// # The audit trail
//
// [Batch.Audit] is written with what it is about, or not at all. Each entry has a hash
// over the one before, so that a later change shows; [AuditHash] says how it is computed.
//
// # What a step costs
//
// What changes at every step is small and stands apart ([Record]) from what
// seldom does ([Contact], [Payload]). A step that follows a step changes neither
// [Record.Wake], the lead keeping the one with which it came due until it waits
// again, nor [Record.State], and it may change nothing else that an index covers:
// a store that finds leads by node finds those by it that wait. Finished steps
// ([Step]) are appended in the order of their sequence numbers, each naming the
// lead's step before it.
//
// # One bad row
//
// A row that cannot be written or read because of what is in it concerns its
// lead only. Commit refuses the batch with a [*RowError] that names the lead, and
// has written nothing, so that the rest can be committed without it.
//
// A reader of one lead fails with a *RowError. A reader of a list returns the
// rows that it can read, in order and as if the others were not there, and beside
// them an error that matches [RowErrors] with those that it had to leave out; a reader
// of whole leads gives what it can read of them, in [RowError.Lead]. They
// do not count towards a limit. With any other error there are no rows:
//
//	records, err := s.Due(ctx, after, until, 100)
//	var bad store.RowErrors
//	if err != nil && !errors.As(err, &bad) {
//		return err
//	}
//	for _, row := range bad { … } // and go on with records
//
// # Concurrency
//
// One goroutine at a time calls Commit; readers run beside it, on any number of
// goroutines, and see whole batches only. A read that begins after Commit has
// returned sees what it wrote.
package store
