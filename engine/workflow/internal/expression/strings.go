package expression

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// The functions on strings.

func trim(m *Meter, name string, args []any) any {
	s := stringArgument(name, args[0])
	if len(args) == 1 {
		m.rewrite(len(s))
		return strings.TrimSpace(s)
	}
	cut := stringArgument(name, args[1])
	// Each character that is removed is looked up in cut.
	m.Step(1 + len(s)*(1+len(cut)/16))
	m.scan(len(cut))
	return strings.Trim(s, cut)
}

func affix(cut func(s, affix string) string) func(*Meter, string, []any) any {
	return func(m *Meter, name string, args []any) any {
		affix := " "
		if len(args) > 1 {
			affix = stringArgument(name, args[1])
		}
		m.scan(len(affix))
		return cut(stringArgument(name, args[0]), affix)
	}
}

func cased(change func(string) string) func(*Meter, string, []any) any {
	return func(m *Meter, name string, args []any) any {
		s := stringArgument(name, args[0])
		m.rewrite(len(s))
		m.Alloc(3 * len(s)) // some letters are longer in the other case
		return change(s)
	}
}

func split(m *Meter, name string, args []any) any {
	s, separator := stringArgument(name, args[0]), stringArgument(name, args[1])
	m.scan(2 * (len(s) + len(separator)))
	pieces := strings.Count(s, separator) + 1
	most := -1
	if len(args) > 2 {
		n, ok := index(args[2])
		if !ok {
			fail("%s takes a number of pieces, not %s", name, Describe(args[2]))
		}
		if most = n; most >= 0 {
			pieces = min(pieces, most)
		}
	}
	m.Step(2 * pieces)
	m.Alloc(48 * pieces)
	list := make([]any, 0, pieces)
	for _, piece := range strings.SplitN(s, separator, most) {
		list = append(list, piece)
	}
	return list
}

func find(where func(s, part string) int) func(*Meter, string, []any) any {
	return func(m *Meter, name string, args []any) any {
		s, part := stringArgument(name, args[0]), stringArgument(name, args[1])
		m.scan(len(s) + len(part))
		return where(s, part)
	}
}

func fromBase64(m *Meter, name string, args []any) any {
	s := stringArgument(name, args[0])
	m.rewrite(len(s))
	m.Alloc(2 * len(s))
	data, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		fail("%s: %s", name, Shorten(err.Error()))
	}
	return string(data)
}

func fromJSON(m *Meter, name string, args []any) any {
	s := stringArgument(name, args[0])
	m.Alloc(len(s))
	v, err := m.decode([]byte(s))
	if err != nil {
		fail("%s: %s", name, Shorten(err.Error()))
	}
	return m.value(v)
}

// decode decodes JSON, with numbers as [json.Number].
func (m *Meter) decode(data []byte) (any, error) {
	m.Step(20 + 2*len(data))
	m.Alloc(1024 + 64*len(data))
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("unexpected data after the JSON value")
	}
	return v, nil
}
