package memory

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/leadflow-go/leadflow/store"
)

// startLog has the starts of one limit.
type startLog struct {
	byPhone map[int64][]moment // in order of at, each at once
	order   []phoneAt          // all of them, in order of at
}

// moment is how many attempts started at the same time.
type moment struct {
	at store.Millis
	n  int32
}

type phoneAt struct {
	at    store.Millis
	phone int64
}

func momentAt(m moment, at store.Millis) int { return cmp.Compare(m.at, at) }

func (c *contents) putStart(from *store.Start) {
	log := c.starts[from.Key]
	if log == nil {
		log = &startLog{byPhone: make(map[int64][]moment)}
		c.starts[strings.Clone(from.Key)] = log
	}
	list := log.byPhone[from.Phone]
	i, found := slices.BinarySearchFunc(list, from.At, momentAt)
	if found {
		list[i].n += from.N
		return
	}
	log.byPhone[from.Phone] = slices.Insert(list, i, moment{from.At, from.N})
	i, _ = slices.BinarySearchFunc(log.order, from.At+1, func(p phoneAt, at store.Millis) int { return cmp.Compare(p.at, at) })
	log.order = slices.Insert(log.order, i, phoneAt{from.At, from.Phone})
}

func (c *contents) forgetStarts(f *store.ForgetStarts) {
	log := c.starts[f.Key]
	if log == nil {
		return
	}
	for len(log.order) > 0 && log.order[0].at < f.Before {
		phone := log.order[0].phone
		log.order = log.order[1:]
		list := log.byPhone[phone]
		switch i, _ := slices.BinarySearchFunc(list, f.Before, momentAt); {
		case i == len(list):
			delete(log.byPhone, phone)
		case i > 0:
			log.byPhone[phone] = list[i:]
		}
	}
	if len(log.order) == 0 {
		delete(c.starts, f.Key)
	}
}

// Starts implements [store.LoopReader].
func (s *Store) Starts(ctx context.Context, q store.StartQuery) (list []store.Start, err error) {
	c, err := s.startReading(ctx)
	if err != nil {
		return nil, fmt.Errorf("memory: read starts: %w", err)
	}
	defer s.stopReading()
	log := c.starts[q.Key]
	if log == nil {
		return nil, nil
	}
	found := log.byPhone[q.Phone]
	i, _ := slices.BinarySearchFunc(found, q.Since, momentAt)
	for _, m := range found[i:] {
		list = append(list, store.Start{Key: q.Key, Phone: q.Phone, At: m.at, N: m.n})
	}
	return list, nil
}
