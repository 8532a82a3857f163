(******************************************************************************)
(*      A resizing with a bias of its own (a 1x1 convolution with BatchNorm)  *)
(*                                                                            *)
(* Where a skip adds R f + r and not R f, the recursion is that of [JV24] with*)
(* other biases: r passes W and P of the layer that it enters.                *)
(*                                                                            *)
(*   biased N r B i == B^(i) + W^(i) P^(i) (sum_(k < i) t^(k,i-1) r^(k,i-1))  *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From AlgebraicCNN Require Import recursion linear_cnn.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Local Open Scope ring_scope.

Section ShortcutBias.
Variables (K : comRingType) (d e p : nat -> nat) (N : skipnet K d e p) (n : nat).
Local Notation W := (weight N).
Local Notation P := (pad N).
Local Notation R := (resize N).
Local Notation t := (strength N).
Variables (r : forall k j : nat, 'M[K]_(e j.+1, n)) (B : forall i, 'M[K]_(d i, n)).

Definition biased i : 'M[K]_(d i, n) :=
  match i return 'M[K]_(d i, n) with
  | 0 => B 0
  | j.+1 => B j.+1 + W j.+1 *m P j.+1 *m (\sum_(k < j.+1) t k j *: r k j)
  end.

Theorem shortcut_bias (f : forall i, 'M[K]_(d i, n)) :
  (forall j, f j.+1 =
     W j.+1 *m P j.+1 *m (\sum_(k < j.+1) t k j *: (R k j *m f k + r k j)) + B j.+1) ->
  forall L, f L = Wof N L *m f 0%N + Bof N biased L.
Proof.
move=> fS L; rewrite -linear_cnn_batch; apply: forward_unique => // j.
rewrite fS; under eq_bigr do rewrite scalerDr.
by rewrite big_split mulmxDr /= addrAC addrA.
Qed.

End ShortcutBias.

Print Assumptions shortcut_bias.
