package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"

	zombiezen "zombiezen.com/go/sqlite"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// The statements that find leads for lists. They are asked for numbers only, so
// that those that are passed over cost no more than an entry of an index.
const (
	// Those at one spot. Within it the index is in order of seq.
	leadsAtText = `SELECT l.seq FROM leads l INDEXED BY leads_spot WHERE l.workflow = ? AND l.spot = ?`
	// Those on the move, of whom there are no more than an engine has workers.
	movingAtText = leadsAtText + ` AND l.node = ?`
	// The upper bound leaves out what is no integer, in a damaged file.
	nextSpotText = `
		SELECT l.spot FROM leads l INDEXED BY leads_spot
		WHERE l.workflow = ? AND l.spot > ? AND l.spot <= 9223372036854775807 ORDER BY l.spot LIMIT 1`

	// A phone, or an external id, has a lead or a few. 0 and '' stand for any
	// workflow and id, -1 for any node; the states are bits.
	leadsByPhoneText = `
		SELECT c.seq FROM contacts c INDEXED BY contacts_phone CROSS JOIN leads l ON l.seq = c.seq
		WHERE c.phone = ?1 AND (?2 = '' OR c.external_id = ?2)` + leadsOfPersonText
	leadsByExternalIDText = `
		SELECT e.lead FROM external_ids e CROSS JOIN leads l ON l.seq = e.lead
		WHERE e.external_id = ?2 AND ?1 = 0` + leadsOfPersonText
	leadsOfPersonText = ` AND (?3 = 0 OR l.workflow = ?3) AND (?4 >> (l.spot & 7)) & 1 AND (?5 = -1 OR l.node = ?5)`

	countText = `SELECT count(*) FROM (%s)`
)

// Leads implements [store.LeadReader].
func (s *Store) Leads(ctx context.Context, q store.LeadQuery) ([]store.Lead, error) {
	return read(ctx, s, s.lanes.long, "leads", func(conn *zombiezen.Conn) ([]store.Lead, error) {
		return listLeads(conn, q, runtime.Gosched, scanLead, loadText)
	})
}

// Sweep implements [store.LoopReader].
func (s *Store) Sweep(ctx context.Context, q store.LeadQuery) ([]store.Record, error) {
	return read(ctx, s, s.lanes.loop, "leads", func(conn *zombiezen.Conn) ([]store.Record, error) {
		return listLeads(conn, q, func() {}, scanRecord, recordsText)
	})
}

// pageRows is how many rows are read at a time.
const pageRows = 256

// listLeads reads the rows of the leads that match q.
func listLeads[T any](conn *zombiezen.Conn, q store.LeadQuery, turn func(), scan func(row, *T) error, text string) (list []T, err error) {
	if err := q.Check(); err != nil {
		return nil, err
	}
	sources := func() ([]*source, error) { return leadSources(conn, q) }
	return listRows(conn, sources, page{q.Newest, q.Offset, q.Limit}, turn, leadRow, scan, text)
}

// page is the part of a query that says which of the matches are wanted.
type page struct {
	newest        bool
	offset, limit int
}

// listRows reads the rows whose numbers the sources yield, of one moment. After each
// page it gives others a turn. name says what a row is, given its number, and text reads
// rows by their numbers.
func listRows[T any](conn *zombiezen.Conn, find func() ([]*source, error), q page, turn func(),
	name func(int64) store.RowError, scan func(row, *T) error, text string) (list []T, err error) {
	limit := q.limit
	if limit <= 0 {
		limit = maxRows
	}
	var bad store.RowErrors
	err = snapshot(conn, func() error {
		sources, err := find()
		if err != nil {
			return err
		}
		m, err := merge(conn, q.newest, min(max(q.offset, 0), largestChunk)+min(limit, largestChunk), sources)
		if err != nil {
			return err
		}
		for pass := q.offset; pass > 0; turn() {
			passed, err := m.next(min(pass, largestChunk))
			if err != nil || len(passed) == 0 {
				return err
			}
			pass -= len(passed)
		}
		for len(list) < limit {
			seqs, err := m.next(min(limit-len(list), pageRows))
			if err != nil || len(seqs) == 0 {
				return err
			}
			page, err := eachAlone(conn, seqs, name, scan, text)
			var some store.RowErrors
			if errors.As(err, &some) {
				bad = append(bad, some...)
			} else if err != nil {
				return err
			}
			if q.newest {
				slices.Reverse(page)
			}
			list = append(list, page...)
			turn()
		}
		return nil
	})
	if err == nil && bad != nil {
		err = bad
	}
	return list, err
}

// leadSources returns where the leads that match q are found.
func leadSources(conn *zombiezen.Conn, q store.LeadQuery) (list []*source, err error) {
	order := ` AND %[1]s > ? ORDER BY %[1]s LIMIT ?`
	if q.Newest {
		order = ` AND %[1]s < ? ORDER BY %[1]s DESC LIMIT ?`
		if q.After == 0 {
			q.After = math.MaxInt64
		}
	}
	add := func(column, text string, args ...any) {
		list = append(list, &source{text: text + fmt.Sprintf(order, column), args: args, after: q.After})
	}
	if q.Node != nil && *q.Node < 0 { // no node
		return nil, nil
	}
	if q.Phone != 0 || q.ExternalID != "" {
		column, text, args := personQuery(q)
		add(column, text, args...)
		return list, nil
	}
	states := statesOf(q)
	if q.Node != nil {
		for _, state := range states {
			add("l.seq", leadsAtText, q.Workflow, spotAt(*q.Node, state))
			add("l.seq", movingAtText, q.Workflow, spotOnTheMove(state), int64(*q.Node))
		}
		return list, nil
	}
	// The spots that there are, one look at the index for each. Those with a state that
	// is none are of damaged rows, which are told of.
	for spot := int64(math.MinInt64); ; {
		found, err := query(conn, scanSeq, nextSpotText, q.Workflow, spot)
		if err != nil || len(found) == 0 {
			return list, err
		}
		spot = found[0]
		if state := lead.State(spot & spotStates); slices.Contains(states, state) || !slices.Contains(lead.States(), state) {
			add("l.seq", leadsAtText, q.Workflow, spot)
		}
	}
}

func statesOf(q store.LeadQuery) []lead.State {
	if len(q.States) == 0 {
		return lead.States()
	}
	return slices.Compact(slices.Sorted(slices.Values(q.States)))
}

// personQuery finds the leads of a phone or an external id,
// of which column is the number.
func personQuery(q store.LeadQuery) (column, text string, args []any) {
	column, text = "c.seq", leadsByPhoneText
	if q.Phone == 0 {
		column, text = "e.lead", leadsByExternalIDText
	}
	states, node := int64(0), int64(-1)
	for _, state := range statesOf(q) {
		states |= 1 << state
	}
	for state := range lead.State(spotStates + 1) {
		if !slices.Contains(lead.States(), state) {
			states |= 1 << state // in a damaged row, which is told of
		}
	}
	if q.Node != nil {
		node = int64(*q.Node)
	}
	return column, text, []any{q.Phone, q.ExternalID, q.Workflow, states, node}
}

// CountLeads implements [store.LeadReader]. It reads the counts that every commit
// keeps, or those few leads that the phone or the external id has.
func (s *Store) CountLeads(ctx context.Context, q store.LeadQuery) (n int64, err error) {
	_, err = read(ctx, s, s.lanes.point, "how many leads", func(conn *zombiezen.Conn) ([]struct{}, error) {
		if err := q.Check(); err != nil {
			return nil, err
		}
		if q.Node != nil && *q.Node < 0 {
			return nil, nil
		}
		if q.Phone != 0 || q.ExternalID != "" {
			_, text, args := personQuery(q)
			found, err := query(conn, scanSeq, fmt.Sprintf(countText, text), args...)
			if err == nil {
				n = found[0]
			}
			return nil, err
		}
		counts, err := query(conn, scanCount, countsText, q.Workflow)
		for _, c := range counts {
			if slices.Contains(statesOf(q), c.State) && (q.Node == nil || c.Node == *q.Node) {
				n += c.N
			}
		}
		return nil, err
	})
	return n, err
}
