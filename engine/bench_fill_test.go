package engine_test

import (
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/leadflow-go/leadflow/engine/workflow"
	"github.com/leadflow-go/leadflow/lead"
	"github.com/leadflow-go/leadflow/store"
)

// filled is a file with many leads that wait, of which benchmarks take copies.
// Nobody can enroll three million for each.
type filled struct {
	once sync.Once
	path string
	size int64
	wf   lead.WorkflowID
	now  time.Time // when the leads were enrolled
}

// files are made when they are first asked for, and removed by TestMain.
var files struct {
	sync.Mutex
	dir  string
	made map[string]*filled
}

func TestMain(m *testing.M) {
	code := m.Run()
	if files.dir != "" {
		os.RemoveAll(files.dir)
	}
	os.Exit(code)
}

// The nodes of the workflow in such a file: a wait, a step, a day's wait, and a
// step that is never reached.
const (
	atWait = iota
	atStep
	atDay
)

// waitingLeads returns a file in which n leads of an active workflow are at a
// node. due is how long after now each of them is due; key names the file.
func waitingLeads(b *testing.B, n int, key string, node int32, due func(i int) time.Duration) *filled {
	b.Helper()
	files.Lock()
	if files.made == nil {
		dir, err := os.MkdirTemp("", "leadflow-bench-")
		if err != nil {
			b.Fatal(err)
		}
		files.dir, files.made = dir, map[string]*filled{}
	}
	f := files.made[key]
	if f == nil {
		f = &filled{path: filepath.Join(files.dir, key+".db")}
		files.made[key] = f
	}
	files.Unlock()
	f.once.Do(func() { f.fill(b, n, node, due, nil) })
	return f
}

// fill makes the file. more, if not nil, is given each lead before it is written,
// to change it and to add to its batch.
func (f *filled) fill(b *testing.B, n int, node int32, due func(i int) time.Duration, more func(*store.Batch, *store.Enrollment)) {
	f.now = time.Now()
	r := openRig(b, f.path, noop)
	r.start(b)
	f.wf = r.create(b, &workflow.Definition{
		Name: "a step and a day's wait", Entry: "wait",
		Nodes: []workflow.Node{
			workflow.Wait("wait", time.Hour), workflow.ApplicationNode("step", nil),
			workflow.Wait("day", 24*time.Hour), workflow.ApplicationNode("last", nil),
		},
		Edges: []workflow.Edge{
			workflow.To("wait", "step"), workflow.On("step", "success", "day"), workflow.To("day", "last"),
		},
	})
	r.activate(b, f.wf)
	rows, err := r.store.Workflows(background)
	if err != nil {
		b.Fatal(err)
	}
	const part = 5000
	for from := 0; from < n; from += part {
		first, err := r.store.Reserve(background, store.LeadSequence, min(part, n-from))
		if err != nil {
			b.Fatal(err)
		}
		var batch store.Batch
		now := store.MillisOf(f.now)
		for i := range min(part, n-from) {
			id, err := lead.NewID(f.now, first+int64(i))
			if err != nil {
				b.Fatal(err)
			}
			at := now.Add(due(from + i))
			e := store.Enrollment{
				Record: store.Record{
					Seq: first + int64(i), Workflow: rows[0].Seq, Version: 1, State: lead.Enrolled, Phase: store.PhaseWaiting, Node: node,
					Visit: 1, Visits: 1, Entered: now, Due: at, Wake: at, Updated: now,
				},
				Contact: store.Contact{Seq: first + int64(i), ID: id, Phone: 1415_2000000 + int64(from+i), Enrolled: now},
			}
			if more != nil {
				more(&batch, &e)
			}
			batch.Enroll = append(batch.Enroll, e)
		}
		if _, err := r.store.Commit(background, &batch); err != nil {
			b.Fatal(err)
		}
	}
	r.close(b)
	info, err := os.Stat(f.path)
	if err != nil {
		b.Fatal(err)
	}
	f.size = info.Size()
}

// copy returns the path of a copy of the file.
func (f *filled) copy(b *testing.B) string {
	b.Helper()
	from, err := os.Open(f.path)
	if err != nil {
		b.Fatal(err)
	}
	defer from.Close()
	path := filepath.Join(b.TempDir(), "leads.db")
	to, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.Copy(to, from); err != nil {
		b.Fatal(err)
	}
	if err := to.Sync(); err != nil { // or the system does it while we measure
		b.Fatal(err)
	}
	if err := to.Close(); err != nil {
		b.Fatal(err)
	}
	return path
}

// id returns the lead with that number.
func (r *rig) id(b *testing.B, seq int64) lead.ID {
	b.Helper()
	found, err := r.store.Lead(background, seq)
	if err != nil {
		b.Fatal(err)
	}
	return found.Contact.ID
}
