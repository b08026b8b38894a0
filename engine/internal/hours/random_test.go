package hours

import (
	"archive/zip"
	"bytes"
	"flag"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var (
	yearsFlag = flag.Int("hours.years", dose(8, 1), "how many years TestYear checks, each in a zone at random; 0 means all zones")
	seedFlag  = flag.Uint64("hours.seed", 0, "seed of TestYear; 0 means a new one")
)

func dose(normal, underRace int) int {
	if raceEnabled {
		return underRace
	}
	return normal
}

// difficult are zones that do what others do not.
var difficult = []string{
	"America/New_York", "Europe/Dublin", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca", "Africa/Cairo",
	"Antarctica/Troll", "Asia/Beirut", "America/Santiago", "America/Havana", "America/St_Johns", "Asia/Kolkata",
	"Asia/Kathmandu", "Asia/Gaza", "Asia/Tehran", "Pacific/Kwajalein", "Pacific/Kiritimati", "Pacific/Chatham",
	"America/Nuuk", "America/Asuncion", "Africa/Monrovia", "Asia/Pyongyang", "America/Caracas", "Europe/Moscow",
	"Africa/El_Aaiun", "Africa/Windhoek", "America/Sao_Paulo", "Europe/Lisbon", "UTC",
}

// goZones are the time zones of the Go distribution. Its files list no changes that
// follow from a rule for all later years; those of many systems list them up to 2037.
// The time package reads the two in different ways.
var goZones = sync.OnceValue(func() map[string]*time.Location {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil
	}
	r, err := zip.OpenReader(filepath.Join(strings.TrimSpace(string(out)), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		return nil
	}
	defer r.Close()
	zones := make(map[string]*time.Location)
	for _, f := range r.File {
		text, err := fs.ReadFile(r, f.Name)
		if err != nil {
			continue
		}
		if zone, err := time.LoadLocationFromTZData(f.Name, text); err == nil {
			zones[f.Name] = zone
		}
	}
	return zones
})

// zoneNames returns the names of all time zones of the Go distribution, or of this
// machine, or the difficult ones.
var zoneNames = sync.OnceValue(func() []string {
	const top = "/usr/share/zoneinfo"
	names := slices.Collect(maps.Keys(goZones()))
	if names != nil {
		slices.Sort(names)
		return names
	}
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, top+"/")
		if d.IsDir() && (name == "posix" || name == "right") {
			return fs.SkipDir
		}
		if d.IsDir() {
			return nil
		}
		if text, err := os.ReadFile(path); err == nil && bytes.HasPrefix(text, []byte("TZif")) {
			names = append(names, name)
		}
		return nil
	})
	if err != nil || len(names) == 0 {
		return difficult
	}
	return names
})

// drawHours draws windows, holidays around a time, and a spread.
func drawHours(near time.Time) *rapid.Generator[*Hours] {
	minutes := rapid.OneOf(
		rapid.SampledFrom([]int{0, 1440, 1, 1439, 720, 1380}),
		rapid.Map(rapid.IntRange(0, 48), func(n int) int { return 30 * n }),
		rapid.IntRange(0, 240), // clocks change at night
		rapid.IntRange(0, 1440),
	)
	windows := rapid.Custom(func(t *rapid.T) Window {
		w := Window{From: minutes.Draw(t, "from"), To: minutes.Draw(t, "to")}
		days := rapid.OneOf(rapid.Just(127), rapid.SampledFrom([]int{62, 65, 1, 64, 33}), rapid.IntRange(0, 127)).Draw(t, "days")
		for i := range w.Days {
			w.Days[i] = days>>i&1 == 1
		}
		return w
	})
	holidays := rapid.Custom(func(t *rapid.T) Date {
		return dateOf(near.AddDate(0, 0, rapid.IntRange(-10, 20).Draw(t, "holiday")))
	})
	spread := rapid.OneOf(
		rapid.Just(time.Duration(0)),
		rapid.SampledFrom([]time.Duration{time.Second, 10 * time.Minute, time.Hour, 12 * time.Hour, 3 * 24 * time.Hour, 365 * 24 * time.Hour}),
		rapid.Map(rapid.Int64Range(0, int64(8*time.Hour)), func(n int64) time.Duration { return time.Duration(n) }),
	)
	return rapid.Custom(func(t *rapid.T) *Hours {
		h := &Hours{
			Windows:  rapid.SliceOfN(windows, 0, 4).Draw(t, "windows"),
			Holidays: rapid.SliceOfN(holidays, 0, 4).Draw(t, "holidays"),
			Spread:   spread.Draw(t, "spread"),
		}
		slices.SortFunc(h.Holidays, Date.Compare)
		return h
	})
}

var shares = rapid.OneOf(rapid.SampledFrom([]float64{0, 0.5, 1 - 1.0/(1<<53)}), rapid.Map(rapid.Int64(), func(n int64) float64 { return Share(n, 1) }))

// changes returns the days of a year on which the zone's clocks change.
func changes(zone *time.Location, year int) []time.Time {
	var out []time.Time
	for at := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() == year; at = at.AddDate(0, 0, 1) {
		_, before := at.In(zone).Zone()
		_, after := at.AddDate(0, 0, 1).In(zone).Zone()
		if before != after {
			out = append(out, at)
		}
	}
	return out
}

// TestOpeningIsTheRule compares openings over a fortnight with the oracle, mostly at
// times at which a clock changes. A longer run:
//
//	go test ./engine/internal/hours -run TestOpeningIsTheRule -rapid.checks=20000 -timeout 1h
func TestOpeningIsTheRule(t *testing.T) {
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		if err := f.Value.Set(strconv.Itoa(dose(100, 10))); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		var w world
		names := rapid.OneOf(rapid.SampledFrom(difficult), rapid.SampledFrom(zoneNames()))
		w.zones = rapid.SliceOfN(names, 1, 2).Draw(t, "zones")
		w.goZones = rapid.Bool().Draw(t, "as in the Go distribution")
		first, err := Load(w.zones[0])
		if err != nil {
			t.Fatal(err)
		}
		year := rapid.OneOf(rapid.IntRange(1970, 2037), rapid.SampledFrom([]int{2011, 2026, 2028, 2040, 2500})).Draw(t, "year")
		center := time.Date(year, 1, rapid.IntRange(1, 366).Draw(t, "day"), 0, 0, 0, 0, time.UTC)
		if at := changes(first, year); len(at) > 0 && rapid.IntRange(0, 9).Draw(t, "anywhere") < 8 {
			center = rapid.SampledFrom(at).Draw(t, "change")
		}
		w.hours = rapid.SliceOfN(drawHours(center), 1, 2).Draw(t, "hours")
		w.share = shares.Draw(t, "share")
		w.from = center.Add(-time.Duration(rapid.IntRange(0, 9*24*60).Draw(t, "minutes before")) * time.Minute)
		w.to = w.from.AddDate(0, 0, 14)
		var asked []time.Time
		for range 20 {
			second := rapid.Int64Range(-60*60*30, 60*60*54).Draw(t, "asked")
			asked = append(asked, center.Add(time.Duration(second)*time.Second+123))
		}
		asked = slices.DeleteFunc(asked, func(at time.Time) bool { return at.Before(w.from) || at.After(w.to) })
		w.check(t, nil, asked...)
	})
}

// TestYear compares every opening of a year, with hours at random, with the oracle. All
// zones, which takes some minutes:
//
//	go test ./engine/internal/hours -run TestYear -hours.years=0 -timeout 1h
func TestYear(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-hours.seed=%d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	names := slices.Clone(zoneNames())
	r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	if n := *yearsFlag; n > 0 {
		names = names[:min(n, len(names))]
	}
	for _, name := range names {
		from := time.Date(1970+r.IntN(68), 1, 1, 0, 0, 0, 0, time.UTC)
		w := world{
			hours:   []*Hours{drawHours(from.AddDate(0, r.IntN(12), 0)).Example(int(r.Int32()))},
			zones:   []string{name},
			goZones: r.IntN(2) == 0,
			share:   r.Float64(),
			from:    from,
			to:      from.AddDate(1, 0, 0),
		}
		w.check(t, nil)
	}
}

// TestAgainstZdump has the oracle take the clocks from zdump, another implementation
// of the tz database, instead of from Go.
func TestAgainstZdump(t *testing.T) {
	zdump, err := exec.LookPath("zdump")
	if err != nil {
		t.Skip("zdump is not installed")
	}
	names := difficult
	if testing.Short() || raceEnabled {
		names = names[:4]
	}
	for i, name := range names {
		t.Run(name, func(t *testing.T) {
			if _, err := os.Stat("/usr/share/zoneinfo/" + name); err != nil {
				t.Skip("zdump and Go would read different files")
			}
			for _, year := range []int{1972, 1987, 2011, 2026, 2036} {
				shown := zdumpClock(t, zdump, name, year)
				if shown == nil {
					continue // zdump lists no change up to then
				}
				for _, center := range append(changes(zone(t, name), year), time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC)) {
					w := world{
						hours: []*Hours{drawHours(center).Example(1000*i + year), daily(15, clock(23, 45))},
						zones: []string{name},
						share: Share(int64(year), 0),
						from:  center.AddDate(0, 0, -3),
						to:    center.AddDate(0, 0, 4),
					}
					w.check(t, newOracle(w.hours, []local{shown}, w.from, w.to))
				}
			}
		})
	}
}

// zdumpClock returns what zdump says that a zone's clocks show in a year, as times
// in UTC.
func zdumpClock(t *testing.T, zdump, name string, year int) local {
	out, err := exec.CommandContext(t.Context(), zdump, "-v", "-c", "1800,"+strconv.Itoa(year+2), name).Output()
	if err != nil {
		t.Fatal(err)
	}
	type change struct{ at, offset int64 }
	var list []change
	for line := range strings.Lines(string(out)) {
		// America/New_York  Sun Mar  8 07:00:00 2026 UT = Sun Mar  8 03:00:00 2026 EDT isdst=1 gmtoff=-14400
		before, after, ok := strings.Cut(strings.TrimSpace(line), " UT = ")
		_, offset, known := strings.Cut(after, "gmtoff=")
		if !ok || !known {
			continue
		}
		at, err := time.Parse("Mon Jan _2 15:04:05 2006", strings.TrimSpace(strings.TrimPrefix(before, name)))
		if err != nil {
			t.Fatal(err)
		}
		east, err := strconv.ParseInt(offset, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, change{at.Unix(), east})
	}
	if len(list) == 0 {
		return nil
	}
	return func(unix int64) time.Time {
		var east int64
		if i, found := slices.BinarySearchFunc(list, unix, func(c change, at int64) int { return int(c.at - at) }); found {
			east = list[i].offset
		} else if i > 0 {
			east = list[i-1].offset
		}
		return time.Unix(unix+east, 0).UTC()
	}
}
