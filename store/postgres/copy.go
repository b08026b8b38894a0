package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"strings"

	"github.com/leadflow-go/leadflow/store"
)

// rows are rows in the binary format of COPY. They are written out here, rather than by
// pgx, because that asks the server for the types of the columns each time.
type rows struct{ b []byte }

func newRows(n, size int) *rows {
	r := &rows{make([]byte, 0, 32+n*size)}
	r.b = append(r.b, "PGCOPY\n\xff\r\n\x00"...)
	r.b = append(r.b, make([]byte, 8)...) // no flags, no extension
	return r
}

func (r *rows) begin(columns int) { r.b = binary.BigEndian.AppendUint16(r.b, uint16(columns)) }
func (r *rows) size(n int)        { r.b = binary.BigEndian.AppendUint32(r.b, uint32(n)) }
func (r *rows) null()             { r.b = binary.BigEndian.AppendUint32(r.b, math.MaxUint32) }

func (r *rows) int16(v int16) {
	r.size(2)
	r.b = binary.BigEndian.AppendUint16(r.b, uint16(v))
}

func (r *rows) int32s(list ...int32) {
	for _, v := range list {
		r.size(4)
		r.b = binary.BigEndian.AppendUint32(r.b, uint32(v))
	}
}

func (r *rows) int64s(list ...int64) {
	for _, v := range list {
		r.size(8)
		r.b = binary.BigEndian.AppendUint64(r.b, uint64(v))
	}
}

func (r *rows) bytes(v []byte) {
	if v == nil {
		r.null()
		return
	}
	r.size(len(v))
	r.b = append(r.b, v...)
}

func (r *rows) text(s string) {
	v := encodeText(s)
	if v == nil {
		r.null()
		return
	}
	r.size(len(*v))
	r.b = append(r.b, *v...)
}

// copy writes the rows into a table.
func (s *Store) copy(ctx context.Context, table string, columns []string, r *rows) error {
	r.b = binary.BigEndian.AppendUint16(r.b, math.MaxUint16) // the end
	_, err := s.conn.PgConn().CopyFrom(ctx, bytes.NewReader(r.b), "COPY "+table+" ("+strings.Join(columns, ", ")+") FROM STDIN BINARY")
	return err
}

// The columns of copyEnroll and copyLive.
var (
	leadColumns = []string{"seq", "workflow", "version", "spot", "phase", "node", "visit", "visits", "attempt", "entered", "due", "started", "deadline", "wake",
		"last_step", "updated", "outcome", "extra", "shard"}
	enrolledColumns = []string{"seq", "id", "phone", "external_id", "time_zone", "metadata", "enrolled"}
	liveColumns     = []string{"workflow", "phone", "lead"}
)

// copyLive does what queueNewLive does, by COPY.
func (s *Store) copyLive(ctx context.Context, firsts []*store.Enrollment) error {
	live := newRows(len(firsts), 38)
	for _, e := range firsts {
		live.begin(len(liveColumns))
		live.int64s(e.Record.Workflow, e.Contact.Phone, e.Record.Seq)
	}
	return s.copy(ctx, "live", liveColumns, live)
}

// copyEnroll writes what queueEnroll does, by COPY.
func (s *Store) copyEnroll(ctx context.Context, list []store.Enrollment, refused map[int64]bool, counted counts) error {
	n := len(list) - len(refused)
	leads, contacts := newRows(n, 250), newRows(n, 100)
	for i := range list {
		r, c := &list[i].Record, &list[i].Contact
		if refused[r.Seq] {
			continue
		}
		counted[countedAt(r)]++
		leads.begin(len(leadColumns))
		leads.int64s(r.Seq, r.Workflow, r.Version, spotOf(r))
		leads.int16(int16(r.Phase))
		leads.int32s(r.Node, r.Visit, r.Visits, r.Attempt)
		leads.int64s(int64(r.Entered), int64(r.Due), int64(r.Started), int64(r.Deadline))
		if r.Wake == 0 {
			leads.null()
		} else {
			leads.int64s(int64(r.Wake))
		}
		leads.int64s(r.LastStep, int64(r.Updated))
		leads.text(r.Outcome)
		leads.bytes(r.EngineState)
		leads.int16(r.Shard)
		contacts.begin(len(enrolledColumns))
		contacts.int64s(c.Seq)
		contacts.bytes(c.ID[:])
		contacts.int64s(c.Phone)
		contacts.text(c.ExternalID)
		contacts.text(c.TimeZone)
		contacts.bytes(c.Metadata)
		contacts.int64s(int64(c.Enrolled))
	}
	if err := s.copy(ctx, "leads", leadColumns, leads); err != nil {
		return err
	}
	return s.copy(ctx, "contacts", enrolledColumns, contacts)
}
