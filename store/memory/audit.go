package memory

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/leadflow-go/leadflow/store"
)

// putAudits appends entries to the audit trail.
func (c *contents) putAudits(list []store.Audit) {
	store.Chain(c.lastSeq, c.lastHash, list)
	for i := range list {
		a := &list[i]
		b := append(c.bytes[:0], a.Hash[:]...)
		b = appendInts(b, int64(a.At), a.Phone, a.Workflow, a.Lead, a.Suppression)
		for _, text := range []string{a.Actor, a.Action, a.Reason, a.ExternalID} {
			b = appendText(b, text)
		}
		c.bytes = appendText(b, a.Detail)
		c.audits.put(a.Seq, c.bytes)
		c.lastSeq, c.lastHash = a.Seq, a.Hash
	}
}

func auditOf(seq int64, entry []byte) store.Audit {
	d := decoder{entry}
	a := store.Audit{Seq: seq}
	copy(a.Hash[:], d.raw(len(a.Hash)))
	a.At, a.Phone, a.Workflow, a.Lead, a.Suppression = store.Millis(d.int()), d.int(), d.int(), d.int(), d.int()
	a.Actor, a.Action, a.Reason, a.ExternalID, a.Detail = d.text(), d.text(), d.text(), d.text(), d.blob()
	return a
}

// Audits implements [store.AuditReader]. It scans all entries after After until it has
// found Limit of them.
func (s *Store) Audits(ctx context.Context, q store.AuditQuery) (list []store.Audit, err error) {
	c, err := s.startReading(ctx)
	if err != nil {
		return nil, fmt.Errorf("memory: read the audit trail: %w", err)
	}
	defer s.stopReading()
	among := c.audits.after(q.After)
	if q.Newest {
		if q.After == 0 {
			q.After = math.MaxInt64
		}
		among = c.audits.before(q.After)
	}
	for seq, entry := range among {
		if found := auditOf(seq, entry); q.Matches(&found) {
			if list = append(list, found); len(list) == q.Limit {
				break
			}
		}
	}
	return list, nil
}

// putSettings writes settings, or deletes those without a value. Settings are few.
func (c *contents) putSettings(changes []store.Setting) {
	for _, to := range changes {
		at, found := slices.BinarySearchFunc(c.settings, to.Name, func(s store.Setting, name string) int { return strings.Compare(s.Name, name) })
		if found {
			c.settings = slices.Delete(c.settings, at, at+1)
		}
		if len(to.Value) > 0 {
			c.settings = slices.Insert(c.settings, at, store.Setting{Name: strings.Clone(to.Name), Value: bytes.Clone(to.Value)})
		}
	}
}

// Settings implements [store.WorkflowReader].
func (s *Store) Settings(ctx context.Context) ([]store.Setting, error) {
	c, err := s.startReading(ctx)
	if err != nil {
		return nil, fmt.Errorf("memory: read settings: %w", err)
	}
	defer s.stopReading()
	list := slices.Clone(c.settings)
	for i := range list {
		list[i].Value = bytes.Clone(list[i].Value)
	}
	return list, nil
}
