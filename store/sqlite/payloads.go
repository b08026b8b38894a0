package sqlite

import (
	"context"
	"fmt"

	zombiezen "zombiezen.com/go/sqlite"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// The statements of the table payloads.
const (
	putPayloadText = `
		INSERT INTO payloads (key, data) SELECT ?, ? WHERE EXISTS (SELECT 1 FROM leads WHERE seq = ?)
		ON CONFLICT DO UPDATE SET data = excluded.data`
	deletePayloadText  = `DELETE FROM payloads WHERE key = ?`
	deletePayloadsText = `DELETE FROM payloads WHERE key BETWEEN ? AND ?`

	payloadKeysText   = `SELECT key FROM payloads WHERE key BETWEEN ? AND ? ORDER BY key`
	payloadsText      = `SELECT key, data FROM payloads WHERE key BETWEEN ? AND ? ORDER BY key`
	somePayloadsText  = `SELECT key, data FROM payloads WHERE key IN (SELECT value FROM json_each(?)) ORDER BY key`
	payloadVisitBits  = 22
	payloadVisitsMask = 1<<payloadVisitBits - 1
)

// payloadKey is the key of a payload: the lead's number, then the visit, so that
// those of a lead lie together, and in order.
func payloadKey(lead int64, visit int32) int64 { return lead<<payloadVisitBits | int64(visit) }

func payloadRow(key int64) store.RowError {
	return store.RowError{Kind: "payload", Seq: key >> payloadVisitBits, Key: key & payloadVisitsMask}
}

func (w *writer) putPayload(p *store.Payload) error {
	err := checkPayload(p)
	switch {
	case err != nil:
	case len(p.Data) == 0:
		_, err = w.deletePayload.ints(payloadKey(p.Lead, p.Visit)).exec()
	default:
		var n int
		n, err = w.insertPayload.ints(payloadKey(p.Lead, p.Visit)).blob(p.Data).ints(p.Lead).exec()
		if err == nil && n == 0 {
			err = errNoLead
		}
	}
	return unwritten(store.RowError{Kind: "payload", Seq: p.Lead, Key: int64(p.Visit)}, err)
}

// checkPayload refuses what has no key.
func checkPayload(p *store.Payload) error {
	if p.Visit < 0 || p.Visit > lead.MaxVisits {
		return fmt.Errorf("%w: a visit must be from 0 to %d", errContent, lead.MaxVisits)
	}
	if p.Lead < 1 || p.Lead > lead.MaxSeq {
		return errNoLead
	}
	return nil
}

func scanPayload(from row, p *store.Payload) error {
	var key int64
	err := from.scan(&key, &p.Data)
	p.Lead, p.Visit = key>>payloadVisitBits, int32(key&payloadVisitsMask)
	if err == nil && p.Data == nil {
		err = fmt.Errorf("%w: data is empty", errSenseless)
	}
	return named(payloadRow(key), err)
}

// payloadsOf reads the payloads of a lead; those of all visits if that is nil.
func payloadsOf(conn *zombiezen.Conn, seq int64, visits []int32) ([]store.Payload, error) {
	if seq < 1 || seq > lead.MaxSeq {
		return nil, nil
	}
	if visits == nil {
		first, last := payloadKey(seq, 0), payloadKey(seq, lead.MaxVisits)
		list, err := query(conn, scanPayload, payloadsText, first, last)
		if !damaged(err) {
			return list, err
		}
		keys, err := query(conn, scanSeq, payloadKeysText, first, last)
		if err != nil {
			return nil, err
		}
		return eachAlone(conn, keys, payloadRow, scanPayload, somePayloadsText)
	}
	var keys []int64
	for _, visit := range visits {
		if visit >= 0 && visit <= lead.MaxVisits {
			keys = append(keys, payloadKey(seq, visit))
		}
	}
	return eachAlone(conn, keys, payloadRow, scanPayload, somePayloadsText)
}

// Payloads implements [store.LoopReader].
func (s *Store) Payloads(ctx context.Context, lead int64, visits []int32) ([]store.Payload, error) {
	return read(ctx, s, s.lanes.facts, fmt.Sprintf("payloads of lead %d", lead), func(conn *zombiezen.Conn) ([]store.Payload, error) {
		return payloadsOf(conn, lead, visits)
	})
}
