package checkpoint

// Place says where a sweep was measured. A field is empty where it is not known.
type Place struct {
	// Host is the server's address, without user and password; empty for the embedded engine.
	Host string `json:"host,omitempty"`
	// Machine is the name of the machine that measures, and MachineID a number that stays the same
	// when it is renamed.
	Machine   string `json:"machine,omitempty"`
	MachineID string `json:"machine_id,omitempty"`
	// Named reports whether the user set Machine, who knows which addresses are of one machine.
	Named bool `json:"-"`
}

// Traits returns the fields as traits. They are part of a sweep's identity, but not of a shard's,
// which may be measured anywhere.
func (p Place) Traits() []Trait {
	return []Trait{
		{Key: "host", Name: "host", Value: p.Host, Optional: true},
		{Key: "machine", Name: "machine", Value: p.Machine, Canonical: p.MachineID, Optional: true},
	}
}

// AsSeenFrom returns p as it compares with there. Where both are the same machine, because the user
// named it, or because the names are equal and one of the two has no MachineID, p takes over the
// missing or differing fields of there.
func (p Place) AsSeenFrom(there Place) Place {
	if p.Machine == "" || p.Machine != there.Machine {
		return p
	}
	if p.Named {
		return there
	}
	if p.MachineID == "" || there.MachineID == "" {
		p.MachineID = there.MachineID
	}
	return p
}
