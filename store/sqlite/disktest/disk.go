package disktest

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Kind is what an operation does.
type Kind uint8

// The kinds of operations.
const (
	Create    Kind = iota + 1 // a file appears
	Write                     // Data at Off
	Truncate                  // to Off bytes
	Sync                      // a file's contents are on disk
	SyncNames                 // so are the directory's names; no File
	Delete                    // a name goes
)

func (k Kind) String() string {
	return [...]string{"nothing", "create", "write", "truncate", "sync", "sync the names", "delete"}[k]
}

// Op is one operation.
type Op struct {
	Kind Kind
	File string // name in the directory
	Off  int64
	Data []byte
}

// Files is the contents of a directory by name.
type Files map[string][]byte

// Disk is what a disk holds: what it must, and what it may. It is a [Watcher]
// that lets everything pass, but only pretends to sync. Its methods may not be
// called at the same time, nor while SQLite writes.
type Disk struct {
	names   map[string]*file // as a process sees them
	durable map[string]*file // as they are after a power cut, but for naming
	naming  []naming         // not synced
	ops     int
}

// file is one file, whatever its name.
type file struct {
	durable []byte
	pending []pending // not synced
}

type pending struct {
	Op
	number int
}

// naming is a name that came or, without a file, went.
type naming struct {
	name   string
	file   *file
	was    *file // that had the name before
	number int
}

// New returns a disk on which the files are, all of them synced.
func New(files Files) *Disk {
	d := &Disk{names: map[string]*file{}, durable: map[string]*file{}}
	for name, text := range files {
		f := &file{durable: bytes.Clone(text)}
		d.names[name], d.durable[name] = f, f
	}
	return d
}

// Clone returns a disk that is the same, and has its own future.
func (d *Disk) Clone() *Disk {
	copies := map[*file]*file{nil: nil}
	of := func(f *file) *file {
		if _, ok := copies[f]; !ok {
			copies[f] = &file{f.durable, slices.Clone(f.pending)} // no byte of them ever changes
		}
		return copies[f]
	}
	c := &Disk{names: map[string]*file{}, durable: map[string]*file{}, ops: d.ops}
	for name, f := range d.names {
		c.names[name] = of(f)
	}
	for name, f := range d.durable {
		c.durable[name] = of(f)
	}
	for _, n := range d.naming {
		c.naming = append(c.naming, naming{n.name, of(n.file), of(n.was), n.number})
	}
	return c
}

// Before implements [Watcher].
func (d *Disk) Before(op Op) Code {
	if op.Kind == Sync {
		return Pretend
	}
	return OK
}

// After implements [Watcher]: it notes an operation.
func (d *Disk) After(op Op) {
	d.ops++
	switch op.Kind {
	case SyncNames:
		d.naming = nil
		d.durable = map[string]*file{}
		for name, f := range d.names {
			d.durable[name] = f
		}
		return
	case Create:
		f := &file{}
		d.naming = append(d.naming, naming{op.File, f, d.names[op.File], d.ops})
		d.names[op.File] = f
		return
	case Delete:
		d.naming = append(d.naming, naming{op.File, nil, d.names[op.File], d.ops})
		delete(d.names, op.File)
		return
	}
	f := d.names[op.File]
	if f == nil { // deleted, and still open
		return
	}
	switch op.Kind {
	case Write, Truncate:
		op.Data = bytes.Clone(op.Data)
		f.pending = append(f.pending, pending{op, d.ops})
	case Sync:
		f.durable = f.cut(nil, Everything)
		f.pending = nil
	}
}

// Undo takes back the last operation, if it is no sync: it was told of, and then
// not done.
func (d *Disk) Undo() {
	for _, f := range d.names {
		if n := len(f.pending); n > 0 && f.pending[n-1].number == d.ops {
			f.pending = f.pending[:n-1]
		}
	}
	if n := len(d.naming); n > 0 && d.naming[n-1].number == d.ops {
		last := d.naming[n-1]
		d.naming = d.naming[:n-1]
		if delete(d.names, last.name); last.was != nil {
			d.names[last.name] = last.was
		}
	}
}

// SyncFailed notes that a sync of the file failed: what of the rest reached the
// disk is as fate says, and no later sync brings more of it. For rng see
// [Disk.Cut].
func (d *Disk) SyncFailed(name string, rng *rand.Rand, fate Fate) {
	if f := d.names[name]; f != nil {
		f.durable, f.pending = f.cut(rng, fate), nil
	}
}

// Ops returns how many operations there have been.
func (d *Disk) Ops() int { return d.ops }

// Pending returns how many operations are not synced.
func (d *Disk) Pending() int {
	n := len(d.naming)
	for _, f := range d.names {
		n += len(f.pending)
	}
	return n
}

// Cut returns what is on disk when the power is cut now. fate decides about all
// that is not synced; rng is for what it leaves to chance, and may be nil only if
// nothing is Torn or Garbled.
func (d *Disk) Cut(rng *rand.Rand, fate Fate) Files {
	names := map[string]*file{}
	for name, f := range d.durable {
		names[name] = f
	}
	for _, n := range d.naming {
		switch {
		case fate(n.number, 0) != Kept:
		case n.file == nil:
			delete(names, n.name)
		default:
			names[n.name] = n.file
		}
	}
	files := Files{}
	for _, name := range slices.Sorted(maps.Keys(names)) { // so that a seed gives one thing
		files[name] = names[name].cut(rng, fate)
	}
	return files
}

// sector is how much a disk writes at once.
const sector = 512

// cut returns the file's contents after a power cut.
func (f *file) cut(rng *rand.Rand, fate Fate) []byte {
	text := bytes.Clone(f.durable)
	for _, p := range f.pending {
		if p.Kind == Truncate {
			if fate(p.number, 0) == Kept {
				text = append(text, make([]byte, max(0, int(p.Off)-len(text)))...)[:p.Off]
			}
			continue
		}
		for i, from := 0, 0; from < len(p.Data); i++ {
			off := int(p.Off) + from
			to := min(len(p.Data), from+sector-off%sector)
			piece := p.Data[from:to]
			from = to
			switch fate(p.number, i) {
			case Lost:
				continue
			case Torn:
				piece = piece[:rng.IntN(len(piece))]
			case Garbled:
				piece = bytes.Clone(piece)
				for i := range piece {
					piece[i] = byte(rng.Uint32())
				}
			}
			if end := off + len(piece); end > len(text) {
				text = append(text, make([]byte, end-len(text))...)
			}
			copy(text[off:], piece)
		}
	}
	return text
}

// Read reads the files of a directory whose names begin with prefix.
func Read(dir, prefix string) (Files, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	files := Files{}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), prefix) || e.IsDir() {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		files[e.Name()] = text
	}
	return files, nil
}

// WriteTo makes the files of a directory whose names begin with prefix these.
func (files Files) WriteTo(dir, prefix string) error {
	there, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range there {
		if strings.HasPrefix(e.Name(), prefix) {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return !errors.Is(err, fs.ErrNotExist)
}
