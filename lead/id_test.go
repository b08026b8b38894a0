package lead

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
)

// From the TypeID specification, v0.3, valid.yml and invalid.yml.
func TestIDsHaveTheTextFormOfTypeID(t *testing.T) {
	for text, raw := range map[string]string{
		"wlead_00000000000000000000000000": "00000000-0000-0000-0000-000000000000",
		"wlead_00000000000000000000000001": "00000000-0000-0000-0000-000000000001",
		"wlead_0000000000000000000000000a": "00000000-0000-0000-0000-00000000000a",
		"wlead_0000000000000000000000000g": "00000000-0000-0000-0000-000000000010",
		"wlead_00000000000000000000000010": "00000000-0000-0000-0000-000000000020",
		"wlead_7zzzzzzzzzzzzzzzzzzzzzzzzz": "ffffffff-ffff-ffff-ffff-ffffffffffff",
		"wlead_0123456789abcdefghjkmnpqrs": "0110c853-1d09-52d8-d73e-1194e95b5f19",
		"wlead_01h455vb4pex5vsknk084sn02q": "01890a5d-ac96-774b-bcce-b302099a8057",
	} {
		want := ID(uuid.MustParse(raw))
		if got, err := ParseID(text); err != nil || got != want {
			t.Errorf("ParseID(%q) = %x, %v; want %x", text, got, err, want)
		}
		if got := want.String(); got != text {
			t.Errorf("%s is written %q, want %q", raw, got, text)
		}
	}
	for _, text := range []string{
		"", "wlead_", "wlead", "00000000000000000000000000",
		"step_00000000000000000000000000",   // another kind
		"wlead_0000000000000000000000000",   // too short
		"wlead_000000000000000000000000000", // too long
		"wlead_8zzzzzzzzzzzzzzzzzzzzzzzzz",  // more than 128 bits
		"wlead_0123456789ABCDEFGHJKMNPQRS",  // upper case
		"wlead_ooooooiiiiiiuuuuuuulllllll",  // ambiguous letters
		"wlead_1234567890123456789012345 ",  // a space
		"wlead_01h455vb4pex5vsknk084sn0é",   // two bytes
	} {
		if id, err := ParseID(text); !errors.Is(err, ErrNotFound) {
			t.Errorf("ParseID(%q) = %v, %v", text, id, err)
		}
	}
}

func TestIDsAreVersion7AndNameTheirLead(t *testing.T) {
	at := time.UnixMilli(1_790_000_000_123)
	for _, seq := range []int64{1, 2, 77, 1<<28 - 1, 1 << 28, 1<<28 + 1, MaxSeq} {
		id, err := NewID(at, seq)
		if err != nil {
			t.Fatal(err)
		}
		if u := uuid.UUID(id); u.Version() != 7 || u.Variant() != uuid.RFC4122 {
			t.Errorf("id of lead %d has version %s, variant %s", seq, u.Version(), u.Variant())
		}
		if got := id.Seq(); got != seq {
			t.Errorf("id of lead %d names lead %d", seq, got)
		}
		if seconds, nanos := uuid.UUID(id).Time().UnixTime(); time.Unix(seconds, nanos).UnixMilli() != at.UnixMilli() {
			t.Errorf("id of lead %d names another time", seq)
		}
		for _, visit := range []int32{1, 2, 4095, 4096, MaxVisits} {
			step := NewStepID(at, id, visit)
			if u := uuid.UUID(step); u.Version() != 7 || u.Variant() != uuid.RFC4122 {
				t.Errorf("step id has version %s, variant %s", u.Version(), u.Variant())
			}
			if step.Seq() != seq || step.Visit() != visit {
				t.Errorf("id of step %d of lead %d names %d of %d", visit, seq, step.Visit(), step.Seq())
			}
			if step != NewStepID(at, id, visit) {
				t.Error("the same step has two ids")
			}
		}
	}
}

func TestSuppressionIDsAreVersion7AndNameTheirSuppression(t *testing.T) {
	at := time.UnixMilli(1_790_000_000_123)
	for _, seq := range []int64{1, 1 << 28, MaxSeq} {
		id, err := NewSuppressionID(at, seq)
		if err != nil {
			t.Fatal(err)
		}
		if u := uuid.UUID(id); u.Version() != 7 || u.Variant() != uuid.RFC4122 || id.Seq() != seq {
			t.Errorf("id of suppression %d has version %s, variant %s and names %d", seq, u.Version(), u.Variant(), id.Seq())
		}
		if other, _ := NewSuppressionID(at, seq); other == id {
			t.Error("two suppressions have one id")
		}
		one, same := SuppressionIDFrom(at, seq, 7), SuppressionIDFrom(at, seq, 7)
		if one != same {
			t.Error("the same bits give two ids")
		}
		var back SuppressionID
		text, _ := id.MarshalText()
		if err := back.UnmarshalText(text); err != nil || back != id || back.IsZero() || string(text[:4]) != "sup_" {
			t.Errorf("%s came back as %s, %v", text, back, err)
		}
		if _, err := ParseID(id.String()); !errors.Is(err, ErrNotFound) {
			t.Errorf("a suppression's id is read as a lead's: %v", err)
		}
	}
}

func TestIDsOfOneLeadAreTold(t *testing.T) {
	// The same sequence number at the same time, in another file.
	at := time.UnixMilli(1_790_000_000_123)
	a, _ := NewID(at, 5)
	b, _ := NewID(at, 5)
	if a == b {
		t.Error("two leads have one id")
	}
}

func TestIDsSortByTime(t *testing.T) {
	at := time.UnixMilli(1_790_000_000_000)
	var texts []string
	for i := range int64(1000) {
		id, err := NewID(at.Add(time.Duration(i)*time.Millisecond), 1000-i)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, id.String())
	}
	if !slices.IsSorted(texts) {
		t.Error("ids made one after the other don't sort so")
	}
}

func TestIDsRoundTripAsText(t *testing.T) {
	wf, err := NewWorkflowID()
	if err != nil {
		t.Fatal(err)
	}
	var wf2 WorkflowID
	text, _ := wf.MarshalText()
	if err := wf2.UnmarshalText(text); err != nil || wf != wf2 {
		t.Errorf("%s came back as %s, %v", wf, wf2, err)
	}
	step := NewStepID(time.UnixMilli(99), ID{15: 3}, 8)
	var step2 StepID
	text, _ = step.MarshalText()
	if err := step2.UnmarshalText(text); err != nil || step != step2 {
		t.Errorf("%s came back as %s, %v", step, step2, err)
	}
}

func FuzzParseID(f *testing.F) {
	f.Add("wlead_01h455vb4pex5vsknk084sn02q")
	f.Fuzz(func(t *testing.T, text string) {
		if id, err := ParseID(text); err == nil && id.String() != text {
			t.Errorf("%q is read as %s", text, id)
		}
	})
}
