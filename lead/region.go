package lead

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/nyaruka/phonenumbers"
)

// CheckRegion returns nil if region is the two-letter ISO 3166 code, in upper case,
// of a country whose phone numbers can be read, such as "US". Otherwise, and for
// "", it returns an [InvalidError] that lists the valid codes.
func CheckRegion(region string) error {
	known := regions()
	if _, found := slices.BinarySearch(known, region); found {
		return nil
	}
	message := fmt.Sprintf("%.40q is not a two-letter ISO 3166 country code in upper case", region)
	if code := suggestRegion(region); slices.Contains(known, code) {
		message += fmt.Sprintf("; did you mean %q?", code)
	}
	message += "; must be one of " + strings.Join(known, ", ")
	return &InvalidError{Subject: "region", Faults: []FieldError{{Location: "region", Message: message}}}
}

// regions returns the codes of all regions whose numbers the library knows.
var regions = sync.OnceValue(func() []string {
	codes := slices.Sorted(maps.Keys(phonenumbers.GetSupportedRegions()))
	return slices.DeleteFunc(codes, func(code string) bool { return len(code) != 2 })
})

// suggestRegion returns the code that the caller may have meant.
func suggestRegion(region string) string {
	switch code := strings.ToUpper(strings.TrimSpace(region)); code {
	case "UK", "GBR":
		return "GB"
	case "EL": // as the European Union writes it
		return "GR"
	case "USA":
		return "US"
	default:
		return code
	}
}
