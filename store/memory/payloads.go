package memory

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/leadflow-go/leadflow/store"
)

// payloads are those of each lead that has any, in order of Visit.
type payloads map[int64][]store.Payload

func findPayload(list []store.Payload, visit int32) (at int, found bool) {
	return slices.BinarySearchFunc(list, visit, func(p store.Payload, visit int32) int { return cmp.Compare(p.Visit, visit) })
}

// put writes a payload, or deletes it if it has no data.
func (all payloads) put(p store.Payload) {
	list := all[p.Lead]
	at, found := findPayload(list, p.Visit)
	p.Data = bytes.Clone(p.Data)
	switch {
	case len(p.Data) > 0 && found:
		list[at] = p
	case len(p.Data) > 0:
		list = slices.Insert(list, at, p)
	case found:
		list = slices.Delete(list, at, at+1)
	}
	if len(list) == 0 {
		delete(all, p.Lead)
	} else {
		all[p.Lead] = list
	}
}

// of returns copies of a lead's payloads at visits, or of all of them if visits is nil.
func (all payloads) of(lead int64, visits []int32) (found []store.Payload) {
	for _, p := range all[lead] {
		if visits == nil || slices.Contains(visits, p.Visit) {
			p.Data = bytes.Clone(p.Data)
			found = append(found, p)
		}
	}
	return found
}

// Payloads implements [store.LoopReader].
func (s *Store) Payloads(ctx context.Context, lead int64, visits []int32) ([]store.Payload, error) {
	c, err := s.startReading(ctx)
	if err != nil {
		return nil, fmt.Errorf("memory: read payloads of lead %d: %w", lead, err)
	}
	defer s.stopReading()
	return c.payloads.of(lead, visits), nil
}
