package postgres_test

import (
	"context"
	"errors"
	"path"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
	"github.com/leadflow-go/leadflow/store/postgres"
	"github.com/leadflow-go/leadflow/store/postgres/pgtest"
)

// enrollment is a new lead of workflow 1 with a number that it reserves.
func enrollment(t *testing.T, s *postgres.Store, phone int64) store.Enrollment {
	t.Helper()
	seq, err := s.Reserve(t.Context(), store.LeadSequence, 1)
	if err != nil {
		t.Fatal(err)
	}
	return store.Enrollment{
		Record:  store.Record{Seq: seq, Workflow: 1, Version: 1, State: lead.Enrolled, Phase: store.PhaseWaiting, Visit: 1, Visits: 1, Wake: 1},
		Contact: store.Contact{Seq: seq, Phone: phone, Enrolled: 1},
	}
}

// suppression is a batch that suppresses a phone of which the leads are known.
func suppression(t *testing.T, s *postgres.Store, phone int64, leads ...int64) *store.Batch {
	t.Helper()
	seq, err := s.Reserve(t.Context(), store.SuppressionSequence, 1)
	if err != nil {
		t.Fatal(err)
	}
	return &store.Batch{
		Suppressions: []store.Suppression{{Seq: seq, Phone: phone}}, Audit: []store.Audit{{Action: "suppress", Phone: phone}},
		Share: store.Share{Contacts: []store.ContactExpectation{{Phone: phone, Leads: leads}}},
	}
}

func isContactConflict(err error) bool {
	var conflict *store.ConflictError
	return errors.As(err, &conflict) && conflict.Kind == "contact"
}

// Of a suppression and an enrollment of two engines, or of an engine and a program's
// transaction, one is first, and the other one knows (promise 13).
func TestASuppressionAndAnEnrollmentDoNotPassEachOther(t *testing.T) {
	o := postgres.Options{Schema: schema(t)}
	s, other := open(t, o), open(t, o)
	enrolled(t, s)
	conn := connect(t)
	enroll := map[string]func(e store.Enrollment) (store.Result, error){
		"another engine": func(e store.Enrollment) (store.Result, error) {
			return other.Commit(t.Context(), &store.Batch{Enroll: []store.Enrollment{e}})
		},
	}
	for _, level := range []pgx.TxIsoLevel{pgx.ReadCommitted, pgx.RepeatableRead} {
		enroll["a program, "+string(level)] = func(e store.Enrollment) (done store.Result, err error) {
			err = pgx.BeginTxFunc(t.Context(), conn, pgx.TxOptions{IsoLevel: level}, func(tx pgx.Tx) error {
				if _, err := other.Tx(tx).Workflow(t.Context(), 1); err != nil {
					return err
				}
				done, err = other.Tx(tx).Write(t.Context(), &store.Batch{Enroll: []store.Enrollment{e}})
				return err
			})
			return done, err
		}
	}
	phone := int64(4930_0000_0000)
	for name, enroll := range enroll {
		t.Run(name, func(t *testing.T) {
			first := map[string]int{}
			for range 150 {
				phone++
				e, b := enrollment(t, other, phone), suppression(t, s, phone)
				var suppressed error
				var both sync.WaitGroup
				both.Go(func() { _, suppressed = s.Commit(t.Context(), b) })
				done, err := enroll(e)
				both.Wait()
				var refused *pgconn.PgError
				switch {
				case suppressed == nil && err == nil && len(done.Refused) == 1 && len(done.Refused[0].Suppressed) == 1:
					first["suppression"]++
				case suppressed == nil && errors.As(err, &refused) && refused.Code == "40001":
					first["suppression"]++
				case isContactConflict(suppressed) && err == nil && len(done.Refused) == 0:
					first["enrollment"]++
				default:
					t.Fatalf("the suppression: %v; the enrollment: %+v, %v", suppressed, done, err)
				}
			}
			t.Logf("first was %v", first)
		})
	}
}

// A program's transaction may see the database as it was at its beginning. It does not
// enroll whom an engine has suppressed since.
func TestATransactionThatBeganBeforeASuppressionEnrollsNobody(t *testing.T) {
	o := postgres.Options{Schema: schema(t)}
	s := open(t, o)
	enrolled(t, s)
	for _, level := range []pgx.TxIsoLevel{pgx.RepeatableRead, pgx.Serializable, pgx.ReadCommitted} {
		const phone = 14155552600
		conn := connect(t)
		tx, err := conn.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: level})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Tx(tx).Load(t.Context(), []int64{1}); err != nil { // what it sees is settled now
			t.Fatal(err)
		}
		if _, err := s.Commit(t.Context(), suppression(t, s, phone)); err != nil {
			t.Fatal(err)
		}
		done, err := s.Tx(tx).Write(t.Context(), &store.Batch{Enroll: []store.Enrollment{enrollment(t, s, phone)}})
		var refused *pgconn.PgError
		switch {
		case level == pgx.ReadCommitted && (err != nil || len(done.Refused) != 1 || len(done.Refused[0].Suppressed) == 0):
			t.Errorf("%s: %+v, %v", level, done, err)
		case level != pgx.ReadCommitted && (!errors.As(err, &refused) || refused.Code != "40001"):
			t.Errorf("%s: %+v, %v", level, done, err)
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// What a batch says of a contact was decided on the leads that the contact had.
func TestABatchIsRefusedIfAContactHasAnotherLead(t *testing.T) {
	o := postgres.Options{Schema: schema(t)}
	s := open(t, o)
	enrolled(t, s)
	const phone, same = 14155552600, 14155552601
	a, b := enrollment(t, s, phone), enrollment(t, s, same)
	a.Contact.ExternalID, b.Contact.ExternalID = "crm-1", "crm-1"
	final := enrollment(t, s, phone)
	final.Record.State, final.Record.Phase, final.Record.Wake = lead.Completed, store.PhaseEnded, 0
	if _, err := s.Commit(t.Context(), &store.Batch{Enroll: []store.Enrollment{final, a, b}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		contacts []store.ContactExpectation
		changes  []store.Change
		other    int64 // the lead that the conflict names; 0 for none
	}{
		{"nobody's", []store.ContactExpectation{{Phone: 1, ExternalID: "crm-2"}, {}}, nil, 0},
		{"by phone", []store.ContactExpectation{{Phone: phone}}, nil, a.Record.Seq},
		{"by phone, known", []store.ContactExpectation{{Phone: phone, Leads: []int64{a.Record.Seq}}}, nil, 0},
		{"by phone, changed", []store.ContactExpectation{{Phone: phone}}, []store.Change{next(a.Record)}, a.Record.Seq},
		{"by phone, known and changed", []store.ContactExpectation{{Phone: phone, Leads: []int64{a.Record.Seq}}}, []store.Change{next(a.Record)}, 0},
		{"by phone, in another workflow", []store.ContactExpectation{{Phone: phone, Workflow: 2}}, nil, 0},
		{"by phone, in the workflow", []store.ContactExpectation{{Phone: phone, Workflow: 1}}, nil, a.Record.Seq},
		{"by external id", []store.ContactExpectation{{ExternalID: "crm-1", Leads: []int64{a.Record.Seq}}}, nil, b.Record.Seq},
		{"by either", []store.ContactExpectation{{Phone: phone, ExternalID: "crm-1", Leads: []int64{a.Record.Seq, b.Record.Seq}}}, nil, 0},
		{"one of several", []store.ContactExpectation{{Phone: phone, Leads: []int64{a.Record.Seq}}, {Phone: same}}, nil, b.Record.Seq},
	} {
		before, err := s.Audits(t.Context(), store.AuditQuery{})
		if err != nil {
			t.Fatal(err)
		}
		batch := store.Batch{Changes: c.changes, Audit: []store.Audit{{Action: c.name}}, Share: store.Share{Contacts: c.contacts, Partial: true}}
		_, err = s.Commit(t.Context(), &batch)
		var conflict *store.ConflictError
		if c.other == 0 && err != nil || c.other != 0 && (!errors.As(err, &conflict) || *conflict != store.ConflictError{Kind: "contact", Seq: c.other}) {
			t.Errorf("%s: %v", c.name, err)
		}
		after, err := s.Audits(t.Context(), store.AuditQuery{})
		if err != nil || (len(after) > len(before)) != (c.other == 0) {
			t.Errorf("%s: %d entries, %v", c.name, len(after)-len(before), err)
		}
		if len(c.changes) > 0 && c.other == 0 {
			a.Record = c.changes[0].After
		}
	}
}

// A batch that was decided on suppressions is refused if they are others by now.
func TestABatchDecidedOnSuppressionsIsRefusedWhenTheyAreOthers(t *testing.T) {
	o := postgres.Options{Schema: schema(t)}
	s := open(t, o)
	enrolled(t, s)
	const phone, now = 14155552600, 5000
	commit := func(list ...store.Suppression) {
		t.Helper()
		if _, err := s.Commit(t.Context(), &store.Batch{Suppressions: list}); err != nil {
			t.Fatal(err)
		}
	}
	add := func(change func(*store.Suppression)) int64 {
		sup := suppression(t, s, phone).Suppressions[0]
		change(&sup)
		commit(sup)
		return sup.Seq
	}
	a := add(func(*store.Suppression) {})
	b := add(func(sup *store.Suppression) { sup.Phone, sup.ExternalID, sup.Channel = 0, "crm-1", "message" })
	over := add(func(sup *store.Suppression) { sup.Expires = now })
	lifted := add(func(sup *store.Suppression) { sup.Lifted = 1 })
	for _, c := range []struct {
		name   string
		expect store.SuppressionExpectation
		other  int64 // the suppression that the conflict names; 0 for none
	}{
		{"nobody's", store.SuppressionExpectation{Phones: []int64{1}, ExternalIDs: []string{"crm-2"}, At: now}, 0},
		{"nothing", store.SuppressionExpectation{}, 0},
		{"by phone", store.SuppressionExpectation{Phones: []int64{phone}, At: now}, a},
		{"by phone, known", store.SuppressionExpectation{Phones: []int64{phone}, At: now, Seqs: []int64{a}}, 0},
		{"one that has not expired", store.SuppressionExpectation{Phones: []int64{phone}, At: now - 1, Seqs: []int64{a}}, over},
		{"by external id", store.SuppressionExpectation{ExternalIDs: []string{"crm-1"}, At: now}, b},
		{"by either", store.SuppressionExpectation{Phones: []int64{phone}, ExternalIDs: []string{"crm-1"}, At: now, Seqs: []int64{a, b}}, 0},
		{"by either, one of them", store.SuppressionExpectation{Phones: []int64{phone}, ExternalIDs: []string{"crm-1"}, At: now, Seqs: []int64{a}}, b},
		{"lifted", store.SuppressionExpectation{Phones: []int64{phone}, At: now, Seqs: []int64{a, lifted}}, lifted},
		{"not lifted, whoever it is about", store.SuppressionExpectation{Seqs: []int64{a, over}}, 0},
		{"lifted, whoever it is about", store.SuppressionExpectation{Seqs: []int64{lifted}}, lifted},
		{"none", store.SuppressionExpectation{Seqs: []int64{1 << 40}}, 1 << 40},
	} {
		_, err := s.Commit(t.Context(), &store.Batch{Ping: true, Share: store.Share{Suppressed: []store.SuppressionExpectation{c.expect}}})
		var conflict *store.ConflictError
		if c.other == 0 && err != nil || c.other != 0 && (!errors.As(err, &conflict) || *conflict != store.ConflictError{Kind: "suppression", Seq: c.other}) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// A batch that is partial leaves out what belongs to stale leads; but not a removal without
// which it must not suppress.
func TestAPartialBatchWithASuppression(t *testing.T) {
	o := postgres.Options{Schema: schema(t)}
	s := open(t, o)
	enrolled(t, s)
	const phone = 14155552600
	named, beside := enrollment(t, s, phone), enrollment(t, s, phone+1)
	if _, err := s.Commit(t.Context(), &store.Batch{Enroll: []store.Enrollment{named, beside}}); err != nil {
		t.Fatal(err)
	}
	stale := func(r store.Record) store.Change {
		r.Version += 5
		return next(r)
	}
	batch := func(changes ...store.Change) *store.Batch {
		b := suppression(t, s, phone, named.Record.Seq)
		b.Share.Partial = true
		for _, c := range changes {
			b.Changes = append(b.Changes, c)
			b.Audit = append(b.Audit, store.Audit{Action: "remove", Lead: c.After.Seq})
		}
		return b
	}
	var conflict *store.ConflictError
	if _, err := s.Commit(t.Context(), batch(stale(named.Record), next(beside.Record))); !errors.As(err, &conflict) || conflict.Seq != named.Record.Seq {
		t.Errorf("the removal of the contact's lead is stale: %v", err)
	}
	if list, err := s.Suppressions(t.Context(), store.SuppressionQuery{}); err != nil || len(list) > 0 {
		t.Errorf("suppressions %v, %v", list, err)
	}
	done, err := s.Commit(t.Context(), batch(next(named.Record), stale(beside.Record)))
	if err != nil || len(done.Stale) != 1 || done.Stale[0] != beside.Record.Seq {
		t.Errorf("another lead is stale: %+v, %v", done, err)
	}
	if list, err := s.Suppressions(t.Context(), store.SuppressionQuery{}); err != nil || len(list) != 1 {
		t.Errorf("suppressions %v, %v", list, err)
	}
	entries, err := s.Audits(t.Context(), store.AuditQuery{})
	if err != nil || len(entries) != 2 || entries[1].Lead != named.Record.Seq || entries[1].Seq != 2 {
		t.Errorf("audit %+v, %v", entries, err)
	}
}

// A change of a setting holds for all engines: one that has not taken note commits nothing.
func TestASettingIsAChangeThatEnginesTakeNoteOf(t *testing.T) {
	o := postgres.Options{Schema: schema(t)}
	s, other := open(t, o), open(t, o)
	m, err := other.Sync(t.Context(), true, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(t.Context(), &store.Batch{Settings: []store.Setting{{Name: "limits", Value: []byte("{}")}}}); err != nil {
		t.Fatal(err)
	}
	b := store.Batch{Ping: true, Share: store.Share{Engine: m.Engine, Flows: m.Flows}}
	if _, err := other.Commit(t.Context(), &b); !errors.Is(err, store.ErrBehind) {
		t.Errorf("an engine that does not know the setting commits: %v", err)
	}
	if agreed, err := s.Agreed(t.Context()); err != nil || agreed {
		t.Errorf("agreed: %t, %v", agreed, err)
	}
	if m, err = other.Sync(t.Context(), true, m.Flows); err != nil {
		t.Fatal(err)
	}
	b.Share.Flows = m.Flows
	if _, err := other.Commit(t.Context(), &b); err != nil {
		t.Error(err)
	}
}

// The audit trail is one chain, whoever writes to it.
func TestTheAuditTrailOfSeveralEnginesIsOneChain(t *testing.T) {
	o := postgres.Options{Schema: schema(t)}
	writers := []func() error{}
	for range 2 {
		s := open(t, o)
		writers = append(writers, func() error {
			_, err := s.Commit(t.Context(), &store.Batch{Audit: []store.Audit{{Action: "a"}, {Action: "b"}}})
			return err
		})
	}
	s, conn := open(t, o), connect(t)
	writers = append(writers, func() error {
		return pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
			_, err := s.Tx(tx).Write(t.Context(), &store.Batch{Audit: []store.Audit{{Action: "c"}}})
			return err
		})
	})
	const rounds = 50
	var group sync.WaitGroup
	for _, write := range writers {
		group.Go(func() {
			for range rounds {
				if err := write(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	list, err := s.Audits(t.Context(), store.AuditQuery{})
	if err != nil || len(list) != rounds*5 {
		t.Fatalf("%d entries, %v", len(list), err)
	}
	var prev [32]byte
	for i := range list {
		if list[i].Seq != int64(i)+1 || list[i].Hash != store.AuditHash(prev, &list[i]) {
			t.Fatalf("the entry at %d has the number %d, or another hash than its own", i, list[i].Seq)
		}
		prev = list[i].Hash
	}
}

// Programs' transactions that remove and then enroll, and engines that suppress, do not run
// into deadlocks.
func TestSuppressingDoesNotDeadlockWithTransactions(t *testing.T) {
	server(t)
	url := pgtest.Database(t)
	ctx := t.Context()
	s, err := postgres.Open(ctx, url, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	enrolled(t, s) // lead 1, which both change
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	const rounds = 100
	var group sync.WaitGroup
	group.Go(func() {
		for i := range int64(rounds) {
			e := enrollment(t, s, 4930_0000_0000+i)
			err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
				in := s.Tx(tx)
				found, err := in.Load(ctx, []int64{1})
				if err != nil {
					return err
				}
				if _, err := in.Write(ctx, &store.Batch{Changes: []store.Change{next(found[0].Record)}}); err != nil {
					return err
				}
				_, err = in.Write(ctx, &store.Batch{Enroll: []store.Enrollment{e}})
				return err
			})
			if err != nil && !errors.Is(err, store.ErrConflict) {
				t.Error(err)
			}
		}
	})
	group.Go(func() {
		for i := range int64(rounds) {
			found, err := s.Load(ctx, []int64{1})
			if err != nil {
				t.Error(err)
				return
			}
			b := suppression(t, s, 4940_0000_0000+i)
			b.Changes = []store.Change{next(found[0].Record)}
			if _, err := s.Commit(ctx, b); err != nil && !errors.Is(err, store.ErrConflict) {
				t.Error(err)
			}
		}
	})
	group.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	conn.Close(ctx)
	noDeadlocks(t, url)
}

// A batch that is written without its stale leads locks in the same order as others.
func TestPartialBatchesDoNotDeadlock(t *testing.T) {
	server(t)
	url := pgtest.Database(t)
	ctx := t.Context()
	var engines [2]*postgres.Store
	for i := range engines {
		var err error
		if engines[i], err = postgres.Open(ctx, url, postgres.Options{}); err != nil {
			t.Fatal(err)
		}
		defer engines[i].Close()
	}
	enrolled(t, engines[0]) // lead 1, which both change
	const rounds = 100
	var group sync.WaitGroup
	for i, s := range engines {
		group.Go(func() {
			for k := range int64(rounds) {
				found, err := s.Load(ctx, []int64{1})
				if err != nil {
					t.Error(err)
					return
				}
				b := &store.Batch{Enroll: []store.Enrollment{enrollment(t, s, 4930_0000_0000+k)}}
				if i == 1 {
					b = suppression(t, s, 4940_0000_0000+k)
				}
				stale := next(found[0].Record)
				stale.Before.Seq, stale.After.Seq = 1000, 1000
				b.Changes, b.Share.Partial = []store.Change{next(found[0].Record), stale}, true
				if _, err := s.Commit(ctx, b); err != nil && !errors.Is(err, store.ErrConflict) {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	for _, s := range engines {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	noDeadlocks(t, url)
}

// noDeadlocks fails the test if a transaction of the database was ended because of a
// deadlock. Nobody is connected to it any more.
func noDeadlocks(t *testing.T, url string) {
	t.Helper()
	var deadlocks int
	if err := connect(t).QueryRow(t.Context(), "SELECT deadlocks FROM pg_stat_database WHERE datname = $1", path.Base(url[:strings.IndexAny(url+"?", "?")])).Scan(&deadlocks); err != nil {
		t.Fatal(err)
	}
	if deadlocks > 0 {
		t.Errorf("there were %d deadlocks", deadlocks)
	}
}
