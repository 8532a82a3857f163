(******************************************************************************)
(*        Theorem 3.1 of [JV24]: f^(L)(X) = W X + B, and no other W, B        *)
(*                                                                            *)
(*     Wof N L == W = f_W^(L)(1), the recursion without biases applied to the *)
(*                identity matrix: the collapsed linear part                  *)
(*   Bof N B L == B = f^(L)(0), the collapsed bias                            *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From AlgebraicCNN Require Import recursion.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Local Open Scope ring_scope.

Section Collapse.
Variables (K : comRingType) (d e p : nat -> nat) (N : skipnet K d e p).
Local Notation W := (weight N).
Local Notation P := (pad N).
Local Notation R := (resize N).
Local Notation t := (strength N).

Definition Wof L : 'M[K]_(d L, d 0) := forward N 1%:M (nobias _) L.
Definition Bof n (B : forall i, 'M[K]_(d i, n)) L : 'M[K]_(d L, n) := forward N 0 B L.

(* on a batch of n columns, each layer's bias any matrix *)
Theorem linear_cnn_batch n (X : 'M[K]_(d 0, n)) (B : forall i, 'M[K]_(d i, n)) L :
  forward N X B L = Wof L *m X + Bof B L.
Proof.
rewrite /Wof /Bof; elim/ltn_ind: L => -[|j] IH; first by rewrite !forward0 mul1mx addr0.
rewrite !forward_hop /nobias addr0 addrA; congr (_ + _).
rewrite mulmx_suml -big_split /=; apply: eq_bigr => k _.
by rewrite IH ?ltn_ord // mulmxDr mulmxA.
Qed.

(* as stated in [JV24]: one flattened input, one bias vector a layer *)
Theorem linear_cnn (X : 'cV[K]_(d 0)) (B : forall i, 'cV[K]_(d i)) L :
  forward N X B L = Wof L *m X + Bof B L.
Proof. exact: linear_cnn_batch. Qed.

(* a batch with the same bias vector in every column: one W, one B serve all *)
Theorem linear_cnn_columns n (X : 'M[K]_(d 0, n)) (B : forall i, 'cV[K]_(d i)) L :
  forward N X (fun i => B i *m const_mx 1) L = Wof L *m X + Bof B L *m const_mx 1.
Proof.
rewrite linear_cnn_batch; congr (_ + _); symmetry.
apply: (forward_hop_unique (g := fun i => Bof B i *m const_mx 1)).
  by rewrite /Bof forward0 mul0mx.
move=> j; rewrite /Bof forward_hop mulmxDl mulmx_suml; congr (_ + _).
by apply: eq_bigr => k _; rewrite mulmxA.
Qed.

Theorem linear_cnn_unique (B : forall i, 'cV[K]_(d i)) L
    (W' : 'M[K]_(d L, d 0)) (B' : 'cV[K]_(d L)) :
  (forall X, forward N X B L = W' *m X + B') -> W' = Wof L /\ B' = Bof B L.
Proof.
move=> H; have HB : B' = Bof B L by rewrite /Bof H mulmx0 add0r.
split=> //; apply/matrixP => i j.
have := H (delta_mx j 0); rewrite linear_cnn HB => /addIr /matrixP /(_ i 0).
by rewrite -![_ *m delta_mx j 0]colE !mxE => ->.
Qed.

(* W and B by recursions of their own, A_i and C_i: what a program computes *)
Theorem Wof_rec :
  Wof 0 = 1%:M /\
  forall j, Wof j.+1 =
    W j.+1 *m P j.+1 *m (\sum_(k < j.+1) t k j *: (R k j *m Wof k)).
Proof. by split=> [|j]; rewrite /Wof ?forwardS /nobias ?addr0. Qed.

Theorem Bof_rec n (B : forall i, 'M[K]_(d i, n)) :
  Bof B 0 = 0 /\
  forall j, Bof B j.+1 =
    W j.+1 *m P j.+1 *m (\sum_(k < j.+1) t k j *: (R k j *m Bof B k)) + B j.+1.
Proof. by split=> [|j]; rewrite /Bof ?forwardS. Qed.

Lemma Wof_hop j : Wof j.+1 = \sum_(k < j.+1) hop N k j.+1 *m Wof k.
Proof. by rewrite /Wof forward_hop /nobias addr0. Qed.

End Collapse.

Print Assumptions linear_cnn_batch.
Print Assumptions linear_cnn.
Print Assumptions linear_cnn_columns.
Print Assumptions linear_cnn_unique.
Print Assumptions Wof_rec.
Print Assumptions Bof_rec.
