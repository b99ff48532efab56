package keyed

import (
	"fmt"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/triage-lb/triage"
)

type value struct {
	key triage.Key
	n   int
}

func (v *value) KeyOf() *triage.Key { return &v.key }

func keyOf(n int) triage.Key {
	address := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, byte(n >> 8), byte(n)}), 80)
	return triage.Key{Group: "app", Target: triage.TargetID(fmt.Sprint(n)), Address: address}
}

// TestSetIsAMap: whatever is put and deleted, a set answers as a map does.
func TestSetIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var set Set[*value]
		model := map[triage.Key]*value{}
		for i := range rapid.IntRange(1, 300).Draw(t, "steps") {
			k := keyOf(rapid.IntRange(0, 40).Draw(t, "key"))
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				set.Delete(k)
				delete(model, k)
			case 1:
				set.Grow(set.Len() + 3)
			default:
				v := &value{k, i}
				set.Put(v)
				model[k] = v
			}
			for n := range 41 {
				if got, want := set.Get(keyOf(n)), model[keyOf(n)]; got != want {
					t.Fatalf("key %d: got %v, want %v", n, got, want)
				}
			}
		}
		if set.Len() != len(model) {
			t.Fatalf("%d values, want %d", set.Len(), len(model))
		}
		seen := 0
		for v := range set.All() {
			seen++
			if model[v.key] != v {
				t.Fatalf("All yields %v", v)
			}
		}
		if seen != len(model) {
			t.Fatalf("All yields %d values, want %d", seen, len(model))
		}
	})
}

// TestGrowMovesNothing: after Grow the announced values find room without another table.
func TestGrowMovesNothing(t *testing.T) {
	var set Set[*value]
	set.Grow(1000)
	room := len(set.table)
	for n := range 1000 {
		set.Put(&value{key: keyOf(n)})
	}
	if len(set.table) != room {
		t.Errorf("the table grew from %d to %d places", room, len(set.table))
	}
}
