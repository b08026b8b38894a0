package expression

import (
	"fmt"
	"path"
	"sync"
	"sync/atomic"
	"time"
	// The time zones of the world, for machines that have no zoneinfo: an empty
	// container, most of Windows. Everything that runs workflows imports this
	// package, and what the machine has goes first.
	_ "time/tzdata"

	"github.com/expr-lang/expr/ast"
)

// The functions on times.

// maxTime is the most bytes of a time, a duration, a layout or a time zone.
const maxTime = 256

func timeArgument(m *Meter, name string, v any) string {
	s := stringArgument(name, v)
	m.Step(20)
	m.Alloc(512)
	if len(s) > maxTime {
		fail("%s takes a string of at most %d bytes, not of %d", name, maxTime, len(s))
	}
	return s
}

func checkLayout(layout string) {
	if len(layout) > maxTime {
		fail("a layout must have at most %d bytes, not %d", maxTime, len(layout))
	}
}

func parseDuration(m *Meter, name string, args []any) any {
	d, err := time.ParseDuration(timeArgument(m, name, args[0]))
	if err != nil {
		fail("%s", Shorten(err.Error()))
	}
	return d
}

// layouts are those that date(…) tries when it is given none.
var layouts = []string{
	"2006-01-02", "15:04:05", "2006-01-02 15:04:05", time.RFC3339, time.RFC822, time.RFC850, time.RFC1123,
}

func parseDate(m *Meter, name string, args []any) any {
	m.Step(60)
	m.Alloc(1024)
	zone := time.UTC
	if given, ok := args[0].(*time.Location); ok && given != nil && len(args) > 1 {
		zone, args = given, args[1:]
	}
	text := timeArgument(m, name, args[0])
	if len(args) > 1 {
		layout := timeArgument(m, name, args[1])
		if len(args) > 2 {
			zone = loadZone(m, name, args[2])
		}
		t, err := time.ParseInLocation(layout, text, zone)
		if err != nil {
			fail("%s", Shorten(err.Error()))
		}
		return t
	}
	for _, layout := range layouts {
		if t, err := time.ParseInLocation(layout, text, zone); err == nil {
			return t
		}
	}
	fail("%s cannot convert %s to a time; write 2026-05-01 or 2026-05-01T09:00:00Z, or give a layout", name, Quote(text))
	return nil
}

func timeZone(m *Meter, name string, args []any) any { return loadZone(m, name, args[0]) }

func loadZone(m *Meter, name string, v any) *time.Location {
	zone := timeArgument(m, name, v)
	// Charged as if it had to be loaded from a file each time.
	m.Step(400)
	m.Alloc(8 << 10)
	location, err := zoneNamed(zone)
	if err != nil {
		fail("%s: %s", name, Shorten(err.Error()))
	}
	return location
}

// zones are the time zones that have been loaded, by name. There are some 600; the
// limit is for file systems on which one name has many spellings.
var (
	zones     sync.Map
	zoneCount atomic.Int32
)

func zoneNamed(name string) (*time.Location, error) {
	switch name {
	case "", "UTC":
		return time.UTC, nil
	case "Local":
		return nil, fmt.Errorf(`"Local" depends on the machine; use an IANA name such as "Europe/Berlin"`)
	}
	if found, ok := zones.Load(name); ok {
		return found.(*time.Location), nil
	}
	location, err := time.LoadLocation(name)
	if err == nil && path.Clean(name) == name && zoneCount.Add(1) <= 1000 {
		zones.Store(name, location)
	}
	return location, err
}

// checkZone reports a time zone literal that does not exist.
func (b *builder) checkZone(n *ast.BuiltinNode) {
	at := 0
	if n.Name == "date" {
		at = 2
	}
	if len(n.Arguments) <= at || b.badZone {
		return
	}
	if name, ok := n.Arguments[at].(*ast.StringNode); ok {
		if _, err := zoneNamed(name.Value[:min(len(name.Value), maxTime)]); err != nil {
			b.badZone = true
			b.fault(n, "%s(): %s", n.Name, Shorten(err.Error()))
		}
	}
}
