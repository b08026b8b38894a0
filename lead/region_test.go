package lead

import (
	"errors"
	"strings"
	"testing"
)

func TestCheckRegionTakesISOCodesInUpperCaseOnly(t *testing.T) {
	for _, region := range []string{"US", "GB", "DE", "AX", "XK"} {
		if err := CheckRegion(region); err != nil {
			t.Errorf("CheckRegion(%q) = %v", region, err)
		}
	}
	for region, says := range map[string]string{
		"UK": `did you mean "GB"?`, "us": `did you mean "US"?`, " DE": `did you mean "DE"?`, "El": `did you mean "GR"?`,
		"Germany": `"Germany" is not`, "": `"" is not`, "ZZ": "must be one of", "001": "AC, AD, AE", "U": "ZM, ZW", "United Kingdom": " GB, ",
		"GBR": `did you mean "GB"?`, strings.Repeat("x", 10_000): "is not",
	} {
		err := CheckRegion(region)
		var invalid *InvalidError
		if !errors.As(err, &invalid) || !strings.Contains(err.Error(), says) || len(err.Error()) > 2000 {
			t.Errorf("CheckRegion(%.40q) = %v, want an InvalidError that says %s", region, err, says)
		}
	}
}
