package disktest_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	_ "modernc.org/sqlite"

	"github.com/leadflow-go/leadflow/store/sqlite/disktest"
)

func write(off int, text string) disktest.Op {
	return disktest.Op{Kind: disktest.Write, File: "f", Off: int64(off), Data: []byte(text)}
}

// sectors is a text as long as that many sectors, of one letter each.
func sectors(letters string) string {
	var b strings.Builder
	for _, l := range letters {
		b.WriteString(strings.Repeat(string(l), 512))
	}
	return b.String()
}

func TestWhatACutLeaves(t *testing.T) {
	var (
		create    = disktest.Op{Kind: disktest.Create, File: "f"}
		sync      = disktest.Op{Kind: disktest.Sync, File: "f"}
		syncNames = disktest.Op{Kind: disktest.SyncNames}
		remove    = disktest.Op{Kind: disktest.Delete, File: "f"}
		shorten   = disktest.Op{Kind: disktest.Truncate, File: "f", Off: 1}
		old       = disktest.Files{"f": []byte("old")}
	)
	only := func(sector int) disktest.Fate {
		return func(_, s int) disktest.Outcome {
			if s == sector {
				return disktest.Kept
			}
			return disktest.Lost
		}
	}
	for _, c := range []struct {
		name string
		was  disktest.Files
		ops  []disktest.Op
		fate disktest.Fate
		want disktest.Files
	}{
		{"a write that was not synced", old, []disktest.Op{write(0, "new")}, disktest.Nothing, old},
		{"one that was", old, []disktest.Op{write(0, "n"), sync, write(2, "x")}, disktest.Nothing, disktest.Files{"f": []byte("nld")}},
		{"a process that was killed", old, []disktest.Op{write(0, "n"), write(5, "x")}, disktest.Everything, disktest.Files{"f": []byte("nld\x00\x00x")}},
		{"the first of two writes", old, []disktest.Op{write(0, "n"), write(2, "x")}, disktest.Until(2), disktest.Files{"f": []byte("nld")}},
		{"a file's end", old, []disktest.Op{shorten}, disktest.Nothing, old},
		{"a file's end that was synced", old, []disktest.Op{shorten, sync}, disktest.Nothing, disktest.Files{"f": []byte("o")}},
		{"a file whose name was not synced", nil, []disktest.Op{create, write(0, "new"), sync}, disktest.Nothing, nil},
		{"one whose was", nil, []disktest.Op{create, write(0, "new"), sync, syncNames}, disktest.Nothing, disktest.Files{"f": []byte("new")}},
		{"a file that was deleted", old, []disktest.Op{write(0, "new"), remove}, disktest.Nothing, old},
		{"one that was made anew", old, []disktest.Op{remove, create, write(0, "x"), sync}, disktest.Nothing, old},
		{"a deletion that was synced", old, []disktest.Op{remove, syncNames}, disktest.Nothing, nil},
		{"the second sector of three", nil, []disktest.Op{create, syncNames, write(0, sectors("abc"))},
			only(1),
			disktest.Files{"f": []byte(strings.Repeat("\x00", 512) + sectors("b"))}},
		{"a write across sectors", disktest.Files{"f": []byte(sectors("aa"))}, []disktest.Op{write(510, "bbbb")},
			only(0),
			disktest.Files{"f": []byte(strings.Repeat("a", 510) + "bb" + sectors("a"))}},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := disktest.New(c.was)
			for _, op := range c.ops {
				disk.After(op)
			}
			clone := disk.Clone()
			got := disk.Cut(rand.New(rand.NewPCG(2, 0)), c.fate)
			if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
			disk.After(write(0, "later"))
			if diff := cmp.Diff(c.want, clone.Cut(rand.New(rand.NewPCG(2, 0)), c.fate), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("a clone of it: %s", diff)
			}
		})
	}
}

func TestWhatWasNotDoneIsTakenBack(t *testing.T) {
	for _, op := range []disktest.Op{
		write(1, "new"), {Kind: disktest.Truncate, File: "f"}, {Kind: disktest.Delete, File: "f"}, {Kind: disktest.Create, File: "g"},
	} {
		want := disktest.Files{"f": []byte("o!d")}
		disk := disktest.New(disktest.Files{"f": []byte("old")})
		disk.After(write(1, "!"))
		disk.After(op)
		disk.Undo()
		if diff := cmp.Diff(want, disk.Cut(nil, disktest.Everything)); diff != "" {
			t.Errorf("%s: %s", op.Kind, diff)
		}
	}
}

func TestASyncAfterOneThatFailedDoesNotMakeUpForIt(t *testing.T) {
	disk := disktest.New(disktest.Files{"f": []byte("old")})
	disk.After(write(0, "n"))
	disk.SyncFailed("f", nil, disktest.Nothing)
	disk.After(write(2, "w"))
	disk.After(disktest.Op{Kind: disktest.Sync, File: "f"})
	if got := string(disk.Cut(nil, disktest.Nothing)["f"]); got != "olw" {
		t.Errorf("the disk has %q", got)
	}
}

func TestALogTellsWhatItWasTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	ops := []disktest.Op{{Kind: disktest.Create, File: "f"}, write(3, "abc"), {Kind: disktest.Sync, File: "f"}, {Kind: disktest.SyncNames}}
	for range 2 { // it goes on with what is there
		log, err := disktest.NewLog(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, op := range ops {
			log.Before(op)
			log.After(op)
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range 5 {
		var got tape
		if err := disktest.ReadLog(bytes.NewReader(text[:len(text)-cut]), &got); err != nil {
			t.Fatal(err)
		}
		want := append(append(tape{}, ops...), ops...)
		if cut > 0 {
			want = want[:len(want)-1]
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("cut by %d bytes: %s", cut, diff)
		}
	}
}

type tape []disktest.Op

func (tp *tape) Before(disktest.Op) disktest.Code { return disktest.OK }
func (tp *tape) After(op disktest.Op)             { *tp = append(*tp, op) }

// full is a disk that takes no write as long as it is full.
type full struct {
	disktest.Disk
	full bool
}

func (d *full) Before(op disktest.Op) disktest.Code {
	if d.full && op.Kind == disktest.Write {
		return disktest.Full
	}
	return disktest.OK
}

func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	disk := &full{Disk: *disktest.New(nil)}
	stop, err := disktest.Watch(dir, disk)
	if err != nil {
		panic(err)
	}
	defer stop()

	path := filepath.Join(dir, "a.db")
	db, err := sql.Open("sqlite", path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		panic(err)
	}
	defer db.Close()
	exec := func(text string) error { _, err := db.ExecContext(context.Background(), text); return err }
	fmt.Println(exec(`CREATE TABLE t (x)`))
	disk.full = true
	fmt.Println(exec(`INSERT INTO t VALUES (1)`))
	disk.full = false
	fmt.Println(exec(`INSERT INTO t VALUES (2)`))

	// The power is cut here.
	after := filepath.Join(dir, "after")
	if err := os.Mkdir(after, 0o700); err != nil {
		panic(err)
	}
	if err := disk.Cut(nil, disktest.Nothing).WriteTo(after, "a.db"); err != nil {
		panic(err)
	}
	db2, err := sql.Open("sqlite", filepath.Join(after, "a.db"))
	if err != nil {
		panic(err)
	}
	defer db2.Close()
	var x int
	err = db2.QueryRow(`SELECT x FROM t`).Scan(&x)
	fmt.Println(x, err)
	// Output:
	// <nil>
	// database or disk is full (13)
	// <nil>
	// 2 <nil>
}
