package enginetest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/leadflow-go/leadflow/engine"
)

// WriteHistory writes all that is known, as one JSON object a line: each
// workflow, behind it each of its leads, behind each lead its steps, and at the
// end the call log. Equal worlds write equal bytes. Its error is the store's, or
// the one with which out failed; what was written by then is cut off somewhere.
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
	filter := engine.CallFilter{Limit: pageSize}
	for {
		calls, cursor, err := w.eng.Calls(ctx, filter)
		if err != nil {
			return err
		}
		for _, c := range calls {
			put(c)
		}
		if filter.After = cursor; len(calls) < filter.Limit {
			return errors.Join(failed, buffer.Flush())
		}
	}
}

// pageSize is how many entries of the call log are read at once.
const pageSize = 1000
