package disktest

import (
	"encoding/binary"
	"io"
	"os"
)

// Log is a [Watcher] that writes operations to a file, so that they are known
// when the process is dead: a write before it is done, because it may be on disk
// in part, and a sync when it is over.
type Log struct{ file *os.File }

// NewLog returns a log that goes on at the end of the file, which it creates.
func NewLog(path string) (*Log, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	return &Log{f}, nil
}

// Before implements [Watcher].
func (l *Log) Before(op Op) Code {
	if op.Kind == Sync || op.Kind == SyncNames {
		return OK
	}
	return l.write(op)
}

// After implements [Watcher].
func (l *Log) After(op Op) {
	if op.Kind == Sync || op.Kind == SyncNames {
		l.write(op)
	}
}

// Close closes the file.
func (l *Log) Close() error { return l.file.Close() }

// header is what comes before the name and the data of an operation.
type header struct {
	Kind       Kind
	Name, Data uint32 // their lengths
	Off        int64
}

func (l *Log) write(op Op) Code {
	h := header{op.Kind, uint32(len(op.File)), uint32(len(op.Data)), op.Off}
	text := make([]byte, 0, binary.Size(h)+len(op.File)+len(op.Data))
	text, err := binary.Append(text, binary.LittleEndian, h)
	if err != nil {
		return IOError
	}
	text = append(append(text, op.File...), op.Data...)
	if _, err := l.file.Write(text); err != nil { // at once, so that a kill leaves it whole
		return IOError
	}
	return OK
}

// ReadLog has each operation of a log told to w.After. A last one that is not
// whole is left out.
func ReadLog(in io.Reader, w Watcher) error {
	for {
		var h header
		if err := binary.Read(in, binary.LittleEndian, &h); err != nil {
			return atEnd(err)
		}
		text := make([]byte, int(h.Name)+int(h.Data))
		if _, err := io.ReadFull(in, text); err != nil {
			return atEnd(err)
		}
		w.After(Op{Kind: h.Kind, File: string(text[:h.Name]), Off: h.Off, Data: text[h.Name:]})
	}
}

func atEnd(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil
	}
	return err
}
