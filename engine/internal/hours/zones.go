package hours

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nyaruka/phonenumbers"
)

// mostZones is how many zones Load keeps. The tz database has about 600 names.
const mostZones = 1000

var loaded struct {
	sync.RWMutex
	zones map[string]*time.Location
}

// Load returns the time zone of an IANA name, such as "Europe/Berlin". Unlike
// [time.LoadLocation] it does not read a file each time, and refuses "" and "Local",
// which are no names of a zone.
func Load(name string) (*time.Location, error) {
	loaded.RLock()
	zone := loaded.zones[name]
	loaded.RUnlock()
	if zone != nil {
		return zone, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" {
		return nil, fmt.Errorf("%q is not an IANA time zone such as \"Europe/Berlin\"", name)
	}
	loaded.Lock()
	defer loaded.Unlock()
	if loaded.zones == nil || len(loaded.zones) >= mostZones {
		loaded.zones = make(map[string]*time.Location)
	}
	loaded.zones[name] = zone
	return zone, nil
}

// ZonesOf returns the names of the time zones in which the owner of a phone number may
// be, by the phone library's table of prefixes: more than one for a number that does
// not tell, such as a toll-free one of North America, which has 42. It returns nil if
// the table knows none. phone is in E.164 form. Names that [Load] does not know on this
// machine are left out.
func ZonesOf(phone string) []string {
	var known []string
	for _, name := range namesOf(phone) {
		if _, err := Load(name); err == nil {
			known = append(known, name)
		}
	}
	return known
}

// namesOf returns what the table has, which must not be changed.
func namesOf(phone string) []string {
	names, err := phonenumbers.GetTimezonesForPrefix(phone)
	if err != nil || slices.Contains(names, phonenumbers.UNKNOWN_TIMEZONE) {
		return nil
	}
	return names
}
