package storetest

import (
	"fmt"
	"slices"

	"github.com/leadflow-go/leadflow/store"
)

// chained returns the entries as they must be when they are the first of all.
func chained(list []store.Audit) []store.Audit {
	list = slices.Clone(list)
	var prev [32]byte
	for i := range list {
		list[i].Seq = int64(i) + 1
		list[i].Hash = store.AuditHash(prev, &list[i])
		prev = list[i].Hash
	}
	return list
}

// auditsAre compares the store's answer, in both orders, with the matching ones of all
// entries, which are in order of Seq.
func (s *suite) auditsAre(q store.AuditQuery, all []store.Audit) {
	s.Helper()
	for _, q.Newest = range []bool{false, true} {
		var want []store.Audit
		for _, a := range all {
			if (q.Phone == 0 || q.Phone == a.Phone) && (q.ExternalID == "" || q.ExternalID == a.ExternalID) &&
				(q.Workflow == 0 || q.Workflow == a.Workflow) && (q.Lead == 0 || q.Lead == a.Lead) && (q.Actor == "" || q.Actor == a.Actor) &&
				a.At >= q.From && (q.To == 0 || a.At < q.To) && (q.After == 0 || a.Seq != q.After && q.Newest == (a.Seq < q.After)) {
				want = append(want, a)
			}
		}
		if q.Newest {
			slices.Reverse(want)
		}
		if q.Limit > 0 {
			want = want[:min(q.Limit, len(want))]
		}
		got, err := s.Audits(s.ctx, q)
		s.check(err)
		equal(s, fmt.Sprintf("audit entries of %+v", q), got, want)
	}
}

func auditChain(s *suite) {
	bytes := make([]byte, 256)
	for i := range bytes {
		bytes[i] = byte(i)
	}
	const words = "o'clock \"☎\"\n\x00\xff; --"
	full := store.Audit{
		Seq: 99, At: start, Actor: words, Action: words, Reason: words, Phone: 999999999999999, ExternalID: words,
		Workflow: 2, Lead: 3, Suppression: 4, Detail: bytes, Hash: [32]byte{1},
	}
	all := []store.Audit{full, {At: 1}, {Action: "remove", Detail: []byte(`{}`)}}
	s.must(store.Batch{Audit: all})
	s.auditsAre(store.AuditQuery{}, chained(all))
	equal(s, "the batch", all[0], full)
	for range 3 { // it goes on where it was
		s.reopen()
		more := []store.Audit{{At: start - 1, Actor: "a"}, {At: start + 1, Actor: "b"}}
		s.must(store.Batch{Audit: more})
		all = append(all, more...)
		s.auditsAre(store.AuditQuery{}, chained(all))
	}

	// A batch that fails leaves no entry and no gap.
	_, leads := s.enrolled(1)
	stale := leads[0].Record
	stale.Version++
	s.conflict(store.Batch{
		Changes: []store.Change{changeOf(stale, func(*store.Record) {})}, Audit: []store.Audit{{Action: "never", Lead: stale.Seq}},
	}, "lead", stale.Seq)
	last := store.Audit{Action: "remove", Lead: leads[0].Seq}
	s.must(store.Batch{Audit: []store.Audit{last}})
	all = append(all, last)
	s.auditsAre(store.AuditQuery{}, chained(all))

	// It stays when the lead is forgotten.
	s.must(store.Batch{Forget: []int64{leads[0].Seq}})
	s.auditsAre(store.AuditQuery{}, chained(all))
	s.auditsAre(store.AuditQuery{Lead: leads[0].Seq}, chained(all))
}

// auditHash holds for all stores: other programs check the chain by it.
func auditHash(s *suite) {
	a := store.Audit{
		Seq: 2, At: 3, Actor: "a", Action: "b", Reason: "c", Phone: 4, ExternalID: "d", Workflow: 5, Lead: 6, Suppression: 7,
		Detail: []byte("{}"),
	}
	prev := [32]byte{31: 1}
	// Computed by another program from the description of AuditHash.
	equal(s, "hash", fmt.Sprintf("%x", store.AuditHash(prev, &a)), "d5f083e77ee9ff8385e6644164cfc5b8c1ddda19ee7640368e8a6d5277b48346")
	seen := map[[32]byte]string{store.AuditHash(prev, &a): "the entry"}
	for name, edit := range map[string]func(prev *[32]byte, a *store.Audit){
		"another hash before": func(prev *[32]byte, a *store.Audit) { prev[0]++ }, "seq": func(_ *[32]byte, a *store.Audit) { a.Seq++ },
		"at": func(_ *[32]byte, a *store.Audit) { a.At++ }, "actor": func(_ *[32]byte, a *store.Audit) { a.Actor = "" },
		"a text moved": func(_ *[32]byte, a *store.Audit) { a.Actor, a.Action = "ab", "" }, "reason": func(_ *[32]byte, a *store.Audit) { a.Reason = "C" },
		"phone": func(_ *[32]byte, a *store.Audit) { a.Phone = 0 }, "id": func(_ *[32]byte, a *store.Audit) { a.ExternalID = "" },
		"workflow": func(_ *[32]byte, a *store.Audit) { a.Workflow = 0 }, "lead": func(_ *[32]byte, a *store.Audit) { a.Lead = 0 },
		"suppression": func(_ *[32]byte, a *store.Audit) { a.Suppression = 0 }, "detail": func(_ *[32]byte, a *store.Audit) { a.Detail = nil },
		"action": func(_ *[32]byte, a *store.Audit) { a.Action = "B" },
	} {
		prev, other := prev, a
		edit(&prev, &other)
		hash := store.AuditHash(prev, &other)
		if twin, found := seen[hash]; found {
			s.Errorf("%s and %s have one hash", name, twin)
		}
		seen[hash] = name
	}
	other := a
	other.Hash[0]++
	equal(s, "hash of an entry that has one", store.AuditHash(prev, &other), store.AuditHash(prev, &a))
}

func auditFilters(s *suite) {
	var all []store.Audit
	for i := range 40 {
		all = append(all, store.Audit{
			At: start + store.Millis(i*7%20), Actor: []string{"", "agent 7", "boss"}[i%3], Action: "remove",
			Phone: []int64{0, 4930555001, 4930555002, 0}[i%4], ExternalID: []string{"", "crm-1", "", "crm-2", ""}[i%5],
			Workflow: int64(i % 3), Lead: int64(i % 6),
		})
	}
	s.must(store.Batch{Audit: all})
	all = chained(all)
	for _, page := range []store.AuditQuery{{}, {Limit: 3}, {After: 20, Limit: 5}} {
		for _, window := range [][2]store.Millis{{0, 0}, {start + 3, 0}, {0, start + 8}, {start + 3, start + 8}, {start + 4, start + 4}} {
			q := page
			q.From, q.To = window[0], window[1]
			s.auditsAre(q, all)
			for _, by := range []func(*store.AuditQuery){
				func(q *store.AuditQuery) { q.Phone = 4930555001 },
				func(q *store.AuditQuery) { q.Phone, q.ExternalID = 4930555001, "crm-1" },
				func(q *store.AuditQuery) { q.ExternalID = "crm-2" },
				func(q *store.AuditQuery) { q.Workflow = 1 },
				func(q *store.AuditQuery) { q.Workflow, q.Actor = 2, "boss" },
				func(q *store.AuditQuery) { q.Lead = 5 },
				func(q *store.AuditQuery) { q.Actor = "agent 7" },
				func(q *store.AuditQuery) { q.Actor = "nobody" },
			} {
				filtered := q
				by(&filtered)
				s.auditsAre(filtered, all)
			}
		}
	}
}

func settingUpdate(s *suite) {
	var want []store.Setting
	check := func() {
		s.Helper()
		got, err := s.Settings(s.ctx)
		s.check(err)
		equal(s, "settings", got, want)
	}
	check()
	set := func(list ...store.Setting) {
		s.Helper()
		s.must(store.Batch{Settings: list})
		check()
		s.reopen()
		check()
	}
	bytes := []byte("\x00\xff{}")
	want = []store.Setting{{Name: "Z", Value: []byte("3")}, {Name: "a", Value: bytes}, {Name: "b", Value: []byte("2")}}
	set(store.Setting{Name: "b", Value: []byte("2")}, store.Setting{Name: "a", Value: bytes}, store.Setting{Name: "Z", Value: []byte("3")})
	// The last one counts; what is not there can be deleted.
	want = []store.Setting{{Name: "a", Value: []byte("5")}, {Name: "b", Value: []byte("7")}}
	set(store.Setting{Name: "a", Value: []byte("4")}, store.Setting{Name: "Z"}, store.Setting{Name: "b"}, store.Setting{Name: "none"},
		store.Setting{Name: "a", Value: []byte("5")}, store.Setting{Name: "b", Value: []byte("7")})
	want = nil
	set(store.Setting{Name: "a"}, store.Setting{Name: "b", Value: []byte{}})
}
