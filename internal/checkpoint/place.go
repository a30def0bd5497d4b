package checkpoint

// Place says where a sweep was measured. Empty is what is not known.
type Place struct {
	// Host is the server's address, without user and password; empty for a server of our own.
	Host string `json:"host,omitempty"`
	// Machine is the name of the machine that measures, and MachineID a number that it keeps under
	// another name.
	Machine   string `json:"machine,omitempty"`
	MachineID string `json:"machine_id,omitempty"`
	// Named says that Machine was given by the user, who knows which addresses are of one machine.
	Named bool `json:"-"`
}

// Traits returns the fields that are the same for a whole sweep, but not for shards, which may be
// measured anywhere.
func (p Place) Traits() []Trait {
	return []Trait{
		{Key: "host", Name: "host", Value: p.Host, Told: true},
		{Key: "machine", Name: "machine", Value: p.Machine, Canonical: p.MachineID, Told: true},
	}
}

// AsSeenFrom returns the place as that of a sweep at another place, where both are one: where the
// user says so, or where one of the two has no number and both have one name.
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
