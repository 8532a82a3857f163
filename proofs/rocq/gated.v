(******************************************************************************)
(*        A piecewise-linear network on one activation region                 *)
(*                                                                            *)
(* On the region of an input X, ReLU multiplies the output of layer i by a    *)
(* diagonal 0/1 matrix D^(i) that does not change there.  The network is then *)
(* the linear CNN with weights D^(i) W^(i) and biases D^(i) B^(i).            *)
(*                                                                            *)
(*   gated D N == the network N with W^(i) replaced by D^(i) W^(i)            *)
(*      relu x == max(0, x) in every entry                                    *)
(*      mask x == the diagonal 0/1 matrix of the signs of x                   *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From AlgebraicCNN Require Import recursion linear_cnn.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Gated.
Variables (K : comRingType) (d e p : nat -> nat) (N : skipnet K d e p).
Variable D : forall i, 'M[K]_(d i, d i).

Definition gated : skipnet K d e p :=
  SkipNet (fun i => D i *m weight N i) (pad N) (resize N) (strength N).

Theorem gated_affine n (B : forall i, 'M[K]_(d i, n)) (g : forall i, 'M[K]_(d i, n)) :
  (forall j, g j.+1 =
     D j.+1 *m (weight N j.+1 *m pad N j.+1 *m
                  (\sum_(k < j.+1) strength N k j *: (resize N k j *m g k)) + B j.+1)) ->
  forall L, g L = Wof gated L *m g 0%N + Bof gated (fun i => D i *m B i) L.
Proof.
move=> gS L; rewrite -linear_cnn_batch; apply: forward_unique => // j.
by rewrite gS mulmxDr !mulmxA.
Qed.
End Gated.

Section ReLU.
Variables (K : realDomainType) (d e p : nat -> nat) (N : skipnet K d e p).

Definition relu n (x : 'cV[K]_n) : 'cV[K]_n := \col_i Num.max 0 (x i 0).
Definition mask n (x : 'cV[K]_n) : 'M[K]_n := diag_mx (\row_i (0 <= x i 0)%R%:R).

Lemma relu_mask n (x : 'cV[K]_n) : relu x = mask x *m x.
Proof.
apply/matrixP => i j; rewrite ord1 mul_diag_mx !mxE.
by case: (lerP 0 (x i 0)); rewrite ?mul1r ?mul0r.
Qed.

(* a ReLU network is affine as long as its masks do not change: W and B are
   those of the gated network, the masks taken from the pre-activations z *)
Theorem relu_affine (B z : forall i, 'cV[K]_(d i)) (g : forall i, 'cV[K]_(d i)) :
  (forall j, z j.+1 =
     weight N j.+1 *m pad N j.+1 *m
       (\sum_(k < j.+1) strength N k j *: (resize N k j *m g k)) + B j.+1) ->
  (forall j, g j.+1 = relu (z j.+1)) ->
  let D i := mask (z i) in
  forall L, g L = Wof (gated N D) L *m g 0%N + Bof (gated N D) (fun i => D i *m B i) L.
Proof. by move=> zS gS D; apply: gated_affine => j; rewrite gS relu_mask -zS. Qed.

End ReLU.

Print Assumptions gated_affine.
Print Assumptions relu_affine.
