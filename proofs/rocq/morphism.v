(******************************************************************************)
(*               Collapsing commutes with ring morphisms                      *)
(*                                                                            *)
(* A float is a dyadic rational, and Z[1/2] -> F_p is a ring morphism for p   *)
(* odd: so an evaluation mod p speaks of the very network, not of a model.    *)
(*                                                                            *)
(*        A ^phi == the entrywise image of a matrix                           *)
(*   map_net phi N == the network with every number replaced by its image     *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From AlgebraicCNN Require Import recursion linear_cnn.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Local Open Scope ring_scope.

Section Morphism.
Variables (K F : comRingType) (phi : {rmorphism K -> F}) (d e p : nat -> nat).
Variable N : skipnet K d e p.
Local Notation "A ^phi" := (map_mx phi A) (at level 2, format "A ^phi").

Definition map_net : skipnet F d e p :=
  SkipNet (fun i => (weight N i)^phi) (fun i => (pad N i)^phi)
          (fun k j => (resize N k j)^phi) (fun k j => phi (strength N k j)).

Theorem forward_morph n (X : 'M[K]_(d 0, n)) (B : forall i, 'M[K]_(d i, n)) L :
  (forward N X B L)^phi = forward map_net X^phi (fun i => (B i)^phi) L.
Proof.
apply: (forward_unique (g := fun i => (forward N X B i)^phi)) => // j.
rewrite forwardS map_mxD !map_mxM; congr (_ *m _ + _).
by rewrite raddf_sum; apply: eq_bigr => k _ /=; rewrite map_mxZ map_mxM.
Qed.

Theorem Wof_morph L : (Wof N L)^phi = Wof map_net L.
Proof.
rewrite /Wof forward_morph map_mx1; apply: eq_forward => j.
exact: map_mx0.
Qed.

Theorem Bof_morph n (B : forall i, 'M[K]_(d i, n)) L :
  (Bof N B L)^phi = Bof map_net (fun i => (B i)^phi) L.
Proof. by rewrite /Bof forward_morph map_mx0. Qed.

End Morphism.

Print Assumptions forward_morph.
Print Assumptions Wof_morph.
Print Assumptions Bof_morph.
