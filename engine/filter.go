package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/leadflow-go/leadflow/lead"
)

// filterFaults reads the fields of filters and collects what is wrong with them. A
// field that is set but blank is a fault, because it must not select everybody.
type filterFaults []lead.FieldError

func (faults *filterFaults) add(location, message string) {
	*faults = append(*faults, lead.FieldError{Location: location, Message: message})
}

func (faults filterFaults) err() error {
	if len(faults) == 0 {
		return nil
	}
	return &lead.InvalidError{Subject: "filter", Faults: faults}
}

// blank reports, and notes as a fault, that a text is white space only. "" counts as
// not set.
func (faults *filterFaults) blank(location, text string) bool {
	if text == "" || strings.TrimSpace(text) != "" {
		return false
	}
	faults.add(location, "must not be blank")
	return true
}

// text reads a text that must match exactly.
func (faults *filterFaults) text(location, text string) string {
	faults.blank(location, text)
	return text
}

// phone reads a phone number as the store has it.
func (faults *filterFaults) phone(number, region string) int64 {
	if number == "" || faults.blank("phone_number", number) {
		return 0
	}
	phone, err := lead.NormalizePhone(number, region)
	if err != nil {
		faults.add("phone_number", err.Error())
	}
	return lead.PhoneDigits(phone)
}

func (faults *filterFaults) states(list []lead.State) []lead.State {
	if list != nil && len(list) == 0 {
		faults.add("status", fmt.Sprintf("must name at least one of %s; nil means any", statesText()))
	}
	for _, s := range list {
		if !slices.Contains(lead.States(), s) {
			faults.add("status", fmt.Sprintf("invalid state %d; must be one of %s", s, statesText()))
		}
	}
	return list
}

func statesText() string {
	var names []string
	for _, s := range lead.States() {
		names = append(names, s.String())
	}
	return strings.Join(names, ", ")
}

func (faults *filterFaults) notNegative(location string, n int) {
	if n < 0 {
		faults.add(location, "must not be negative")
	}
}
