package hours

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestLoad(t *testing.T) {
	for _, name := range []string{"", "Local", "Europe/Atlantis", "../UTC", "/etc/localtime", "+02:00", "\x00"} {
		if zone, err := Load(name); err == nil || !strings.Contains(err.Error(), strconv.Quote(name)) {
			t.Errorf("Load(%q) = %v, %v", name, zone, err)
		}
	}
	zone, err := Load("Europe/Berlin")
	if err != nil || zone.String() != "Europe/Berlin" {
		t.Errorf("%v, %v", zone, err)
	}
	if again, err := Load("Europe/Berlin"); again != zone || err != nil {
		t.Errorf("a second %v, %v", again, err)
	}
}

// Where zones are files, "Europe//Berlin" is a name too, and there is no end of these.
func TestLoadKeepsABoundedNumber(t *testing.T) {
	if _, err := time.LoadLocation("Europe//Berlin"); err != nil {
		t.Skip(err)
	}
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for n := range 600 {
				name := "Europe" + strings.Repeat("/", 1+n) + strings.Repeat("./", g) + "Berlin"
				if _, err := Load(name); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	loaded.RLock()
	defer loaded.RUnlock()
	if n := len(loaded.zones); n > mostZones {
		t.Errorf("%d zones are kept", n)
	}
}

func TestZonesOf(t *testing.T) {
	for _, c := range []struct {
		phone string
		want  []string
	}{
		{"+4915112345678", []string{"Europe/Berlin"}},
		{"+14155552671", []string{"America/Los_Angeles"}},
		{"+12125552671", []string{"America/New_York"}},
		{"+919812345678", []string{"Asia/Calcutta"}},
		{"+870772345678", nil}, // a satellite's
		{"+999123456789", nil},
		{"", nil},
		{"+", nil},
		{"no number", nil},
	} {
		if got := ZonesOf(c.phone); !slices.Equal(got, c.want) {
			t.Errorf("ZonesOf(%q) = %q, want %q", c.phone, got, c.want)
		}
	}
	free := ZonesOf("+18005552671") // toll-free: anywhere in North America
	for _, name := range []string{"America/New_York", "America/Los_Angeles", "Pacific/Honolulu"} {
		if !slices.Contains(free, name) {
			t.Errorf("%q lacks %s", free, name)
		}
	}
}

// What a caller does with the names changes nothing for others.
func TestZonesOfIsTheCallers(t *testing.T) {
	ZonesOf("+4915112345678")[0] = "spoilt"
	if got := ZonesOf("+4915112345678"); !slices.Equal(got, []string{"Europe/Berlin"}) {
		t.Error(got)
	}
}

// A zone that could not be loaded would be left out, and the hours then be too wide.
func TestEveryZoneOfTheTableIsKnown(t *testing.T) {
	for prefix := range 100_000 {
		phone := "+" + strconv.Itoa(prefix)
		for _, name := range namesOf(phone) {
			if _, err := Load(name); err != nil {
				t.Fatalf("%s: %v", phone, err)
			}
		}
	}
}

func BenchmarkZonesOf(b *testing.B) {
	for _, phone := range []string{"+4915112345678", "+14155552671", "+18005552671", "+61412345678", "+870772345678"} {
		b.Run(phone, func(b *testing.B) {
			b.Log(ZonesOf(phone))
			b.ReportAllocs()
			for b.Loop() {
				ZonesOf(phone)
			}
		})
	}
}
