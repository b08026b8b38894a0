package enginetest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"

	"github.com/leadflow-go/leadflow/engine"
	"github.com/leadflow-go/leadflow/lead"
)

// WriteHistory writes everything in the store, one JSON object a line: each workflow
// followed by its leads, each lead followed by its steps, and at the end the call log.
// Equal worlds write equal bytes. The error is the store's or that of out; the output
// is then incomplete.
func (w *World) WriteHistory(out io.Writer) error {
	ctx := context.Background()
	buffer := bufio.NewWriter(out)
	enc := json.NewEncoder(buffer)
	var failed error
	put := func(v any) {
		if failed == nil {
			failed = enc.Encode(v)
		}
	}
	workflows, err := w.eng.Workflows(ctx, engine.WorkflowFilter{})
	if err != nil {
		return err
	}
	for _, wf := range workflows {
		put(wf)
		for l, err := range w.eng.AllLeads(ctx, wf.ID, engine.LeadFilter{}) {
			if err != nil {
				return err
			}
			put(l)
			steps, err := w.eng.History(ctx, wf.ID, l.ID)
			if err != nil {
				return err
			}
			for _, s := range steps {
				put(s)
			}
		}
	}
	for c, err := range w.calls(ctx, engine.CallFilter{}) {
		if err != nil {
			return err
		}
		put(c)
	}
	return errors.Join(failed, buffer.Flush())
}

// pageSize is how many entries of the call log are read in one query.
const pageSize = 1000

// calls yields the call log, in the order in which calls began. It ends after an error.
func (w *World) calls(ctx context.Context, filter engine.CallFilter) iter.Seq2[lead.Call, error] {
	return func(yield func(lead.Call, error) bool) {
		filter.Limit = pageSize
		for {
			page, cursor, err := w.eng.Calls(ctx, filter)
			if err != nil {
				yield(lead.Call{}, err)
				return
			}
			for _, c := range page {
				if !yield(c, nil) {
					return
				}
			}
			if filter.After = cursor; len(page) < filter.Limit {
				return
			}
		}
	}
}
