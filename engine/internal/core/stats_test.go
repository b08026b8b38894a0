package core

import (
	"reflect"
	"testing"
)

// A counter that add forgets would stay zero for ever.
func TestStatsAddsEveryCounter(t *testing.T) {
	var one, sum Stats
	v := reflect.ValueOf(&one).Elem()
	for i := range v.NumField() {
		v.Field(i).SetInt(int64(i + 1))
	}
	sum.Add(&one)
	sum.Add(&one)
	got := reflect.ValueOf(sum)
	for i := range got.NumField() {
		want := int64(2 * (i + 1))
		if v.Type().Field(i).Type.Kind() == reflect.Int {
			want = 0 // what the engine holds now, not what it has done
		}
		if got.Field(i).Int() != want {
			t.Errorf("%s is %d, want %d", v.Type().Field(i).Name, got.Field(i).Int(), want)
		}
	}
}
