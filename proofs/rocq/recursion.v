(******************************************************************************)
(*               The skip recursion of a linear convolutional network         *)
(*                                                                            *)
(*   f^(0)(X) = X                                                             *)
(*   f^(i)(X) = W^(i) P^(i) (sum_(k < i) t^(k,i-1) R^(k,i-1) f^(k)(X))        *)
(*              + B^(i)                                                       *)
(*                                                                            *)
(* This is the recursion of J. Joyce and J. Verschelde, Algebraic Representa- *)
(* tions for Faster Predictions in Convolutional Neural Networks, CASC 2024   *)
(* (cited as [JV24] in these files), over any commutative ring K, for any     *)
(* number of layers and any sizes.  X has n columns: a batch of flattened     *)
(* inputs.                                                                    *)
(*                                                                            *)
(*     d i, e i, p i == lengths: of the flattened output of layer i (i = 0:   *)
(*                      of the input), of what the skips into layer i are     *)
(*                      resized to, and of that after padding                 *)
(*   skipnet K d e p == the network without its biases, a record of           *)
(*        weight N i == W^(i), the matrix of the convolution of layer i       *)
(*           pad N i == P^(i), the padding matrix                             *)
(*      resize N k j == R^(k,j), the resizing from f^(k) into layer j+1       *)
(*    strength N k j == t^(k,j), its strength                                 *)
(*   forward N X B i == f^(i)(X) with the biases B^(1), ..., B^(i)            *)
(*          word N k i == W^(i) P^(i) R^(k,i-1), one hop without its strength *)
(*           hop N k i == t^(k,i-1) W^(i) P^(i) R^(k,i-1), one hop            *)
(*          nobias n i == 0, the bias that is not there                       *)
(*                                                                            *)
(* Layer 0 is the input: weight N 0, pad N 0 and B^(0) are never used.        *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Local Open Scope ring_scope.

Record skipnet (K : comRingType) (d e p : nat -> nat) := SkipNet {
  weight : forall i, 'M[K]_(d i, p i);
  pad : forall i, 'M[K]_(p i, e i);
  resize : forall k j, 'M[K]_(e j.+1, d k);
  strength : nat -> nat -> K
}.

Definition nobias {K : comRingType} {d : nat -> nat} n i : 'M[K]_(d i, n) := 0.

Section Recursion.
Variables (K : comRingType) (d e p : nat -> nat) (N : skipnet K d e p).
Local Notation W := (weight N).
Local Notation P := (pad N).
Local Notation R := (resize N).
Local Notation t := (strength N).

Definition word k i : 'M[K]_(d i, d k) :=
  match i with 0 => 0 | j.+1 => W j.+1 *m P j.+1 *m R k j end.
Definition hop k i : 'M[K]_(d i, d k) := t k i.-1 *: word k i.

Section Batch.
Variables (n : nat) (X : 'M[K]_(d 0, n)) (B : forall i, 'M[K]_(d i, n)).

(* f^(i) with a bound m on the depth of the recursion, enough when i < m *)
Fixpoint forward_within (m i : nat) : 'M[K]_(d i, n) :=
  match m, i with
  | 0, _ => 0
  | _, 0 => X
  | m'.+1, j.+1 =>
      W j.+1 *m P j.+1 *m (\sum_(k < j.+1) t k j *: (R k j *m forward_within m' k))
      + B j.+1
  end.

Definition forward i := forward_within i.+1 i.

Lemma forward_withinS m j :
  forward_within m.+1 j.+1 =
  W j.+1 *m P j.+1 *m (\sum_(k < j.+1) t k j *: (R k j *m forward_within m k)) + B j.+1.
Proof. by []. Qed.

Lemma forward_withinE m i : (i < m)%N -> forward_within m i = forward i.
Proof.
rewrite /forward; suff H m' : (i < m)%N -> (i < m')%N ->
    forward_within m i = forward_within m' i by move=> im; apply: H.
elim: m m' i => [|m IH] [|m'] [|j] // jm jm'.
rewrite !forward_withinS; congr (_ *m _ + _).
apply: eq_bigr => k _; congr (_ *: (_ *m _)); apply: IH;
  by [apply: leq_trans (ltn_ord k) jm | apply: leq_trans (ltn_ord k) jm'].
Qed.

(* the definition is the recursion of [JV24] ... *)
Theorem forward0 : forward 0 = X.
Proof. by []. Qed.

Theorem forwardS j :
  forward j.+1 =
  W j.+1 *m P j.+1 *m (\sum_(k < j.+1) t k j *: (R k j *m forward k)) + B j.+1.
Proof.
rewrite /forward forward_withinS.
by under eq_bigr do rewrite forward_withinE //.
Qed.

(* ... and the only sequence that satisfies it *)
Theorem forward_unique (g : forall i, 'M[K]_(d i, n)) :
  g 0%N = X ->
  (forall j, g j.+1 =
     W j.+1 *m P j.+1 *m (\sum_(k < j.+1) t k j *: (R k j *m g k)) + B j.+1) ->
  forall i, g i = forward i.
Proof.
move=> g0 gS; elim/ltn_ind=> -[|j] IH; first by rewrite g0.
rewrite gS forwardS; congr (_ *m _ + _).
by apply: eq_bigr => k _; rewrite IH ?ltn_ord.
Qed.

(* the same recursion in hops *)
Lemma sum_hop (g : forall k, 'M[K]_(d k, n)) j :
  W j.+1 *m P j.+1 *m (\sum_(k < j.+1) t k j *: (R k j *m g k)) =
  \sum_(k < j.+1) hop k j.+1 *m g k.
Proof.
rewrite mulmx_sumr; apply: eq_bigr => k _.
by rewrite -scalemxAr mulmxA /hop -scalemxAl.
Qed.

Lemma forward_hop j : forward j.+1 = \sum_(k < j.+1) hop k j.+1 *m forward k + B j.+1.
Proof. by rewrite forwardS sum_hop. Qed.

Lemma forward_hop_unique (g : forall i, 'M[K]_(d i, n)) :
  g 0%N = X -> (forall j, g j.+1 = \sum_(k < j.+1) hop k j.+1 *m g k + B j.+1) ->
  forall i, g i = forward i.
Proof.
move=> g0 gS; apply: forward_unique => // j.
by rewrite gS sum_hop.
Qed.

End Batch.

(* only the biases B^(1), ..., B^(i) matter *)
Lemma eq_forward n (X : 'M[K]_(d 0, n)) B B' i :
  (forall j, B j.+1 = B' j.+1) -> forward X B i = forward X B' i.
Proof.
move=> BB'; apply: forward_hop_unique => // j.
by rewrite forward_hop BB'.
Qed.

End Recursion.

Print Assumptions forward0.
Print Assumptions forwardS.
Print Assumptions forward_unique.
